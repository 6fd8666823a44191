"""Runs in the trials' interpreter: starts trials, signals and reaps them, and takes them along when the agent dies.

One kind imports the user's module once and forks a child for each trial; the other starts commands. Told what to do,
and telling what happened, in lines of JSON over a socket that the agent holds the other end of.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

from clustertune.agent import processes, ranks, trial_process, warm
from clustertune.model.processes import Stat, stat

_LINGER_S = 2.0
"""How long what a trial left behind may take to die of SIGKILL before its end is told all the same."""

_LINGER_POLL_MS = 2


@dataclass
class _Running:
    attempt: str
    pid: int
    began_s: float


@dataclass
class _Lingering:
    """A trial whose own process is reaped, and of whose group or session somebody is left."""

    trial: _Running
    status: int
    until_s: float


class Spawner:
    """The loop: orders from the agent, children that end."""

    def __init__(self, link: socket.socket) -> None:
        self._link = link
        self._function: warm.Function | None = None
        self._running: dict[str, _Running] = {}
        self._lingering: list[_Lingering] = []
        self._inherited: frozenset[int] = frozenset()
        self._collects = True
        self._wake, self._woken = socket.socketpair()
        self._files = self._identities()

    def serve(self) -> None:
        """Until the agent closes the link, or is gone; then every trial is killed."""
        self._wake.setblocking(False)
        self._woken.setblocking(False)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        orders = self._orders()
        try:
            if self._prepare(next(orders, None)):
                for order in orders:
                    self._obey(*order)
        except OSError:
            return  # the agent is gone, and with it the link
        finally:
            self._kill_all()

    def _orders(self) -> Iterator[tuple[dict[str, Any], list[int]]]:
        """Each order with the file descriptors that came along; ends where the link does."""
        poller = select.poll()
        poller.register(self._link, select.POLLIN)
        poller.register(self._woken, select.POLLIN)
        buffer, descriptors = b"", list[int]()
        while True:
            for fd, _ in poller.poll(_LINGER_POLL_MS if self._lingering else None):
                if fd == self._woken.fileno():
                    self._woken.recv(4096)
                    continue
                data, received, _, _ = socket.recv_fds(self._link, 65536, processes.MOST_DESCRIPTORS)
                for descriptor in received:
                    os.set_inheritable(descriptor, False)  # it comes without that mark, whatever the sender's had
                descriptors += received
                if not data:
                    return
                *lines, buffer = (buffer + data).split(b"\n")
                for line in filter(None, lines):
                    order = json.loads(line)
                    count = order.get("outputs", 0)
                    yield order, descriptors[:count]
                    del descriptors[:count]
            self._reap()

    def _prepare(self, first: tuple[dict[str, Any], list[int]] | None) -> bool:
        if first is None:
            return False
        order = first[0]
        told: dict[str, object] = {"say": "ready", "unsafe": "", "files": []}
        if "call" in order:
            try:
                self._function = warm.load(order["call"], order["workdir"])
            except warm.Unstartable as error:
                self._check_link()
                self._say({"say": "failed", "error": error.error, "traceback": error.traceback})
                return False
            self._check_link()
            told.update(unsafe=warm.why_unsafe_to_fork(), files=warm.loaded_files(order["workdir"]))
        self._settle()
        self._say(told)
        return True

    def _identities(self) -> list[tuple[int, int]]:
        found = map(os.fstat, (self._link.fileno(), self._wake.fileno(), self._woken.fileno()))
        return [(each.st_dev, each.st_ino) for each in found]

    def _check_link(self) -> None:
        """A module that closes descriptors, or reuses their numbers, leaves nobody to serve: the exit code says so."""
        try:
            intact = self._identities() == self._files
        except OSError:
            intact = False
        if not intact:
            os._exit(processes.LINK_CLOSED)

    def _settle(self) -> None:
        """After the import, which may have changed any of it."""
        processes.adopt_orphans()
        processes.die_with_parent(False)  # from now on the end of the link says so, and trials are ended in order
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        self._inherited = frozenset(stat.pid for stat in self._children())
        self._collects = gc.isenabled()
        # Collected objects would leave holes that forks fill, copying pages that they could share.
        gc.collect()
        gc.disable()
        gc.freeze()

    def _say(self, told: dict[str, object]) -> None:
        self._link.sendall(json.dumps(told).encode() + b"\n")

    def _obey(self, order: dict[str, Any], outputs: list[int]) -> None:
        if order["do"] == "signal":
            self._signal(order["attempt"], order["number"], leader_only=order.get("leader", False))
        elif order["do"] == "start":
            self._start(order, outputs)
        for output in outputs:
            os.close(output)

    def _signal(self, attempt: str, number: int, *, leader_only: bool) -> None:
        trial = self._running.get(attempt)
        if trial is None:
            return
        # Before the child has made its group there is only itself.
        if leader_only or not processes.kill_group(trial.pid, number):
            processes.kill(trial.pid, number)
        if number == signal.SIGTERM:
            processes.kill_group(trial.pid, signal.SIGCONT)  # who is stopped would not hear it

    def _start(self, order: dict[str, Any], outputs: list[int]) -> None:
        attempt, error = order["attempt"], ""
        if len(outputs) < order["outputs"]:  # the kernel keeps what a limit leaves no room for
            error = f"a process may not have {order['outputs']} more files open for this trial: raise `ulimit -n`"
            self._say({"say": "unstartable", "attempt": attempt, "error": error})
            return
        fork = self._fork_callable if self._function else self._fork_command
        try:
            pid, error = fork(order, outputs)
        except OSError as refused:
            error = f"no process could be made for this trial: {refused.strerror}"
        if error:
            self._say({"say": "unstartable", "attempt": attempt, "error": error})
            return
        self._running[attempt] = _Running(attempt, pid, time.monotonic())
        found = stat(pid)
        self._say({"say": "started", "attempt": attempt, "pid": pid, "start_time": found.start_time if found else ""})

    def _fork_callable(self, order: dict[str, Any], outputs: list[int]) -> tuple[int, str]:
        sys.stdout.flush()
        sys.stderr.flush()
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            self._become_callable(order, outputs, parent)
        return pid, ""

    def _become_callable(self, order: dict[str, Any], outputs: list[int], parent: int) -> NoReturn:
        try:
            trial_process.detach(outputs[0], parent, order.get("cgroups", ()))
            for own in (self._link, self._wake, self._woken):
                own.close()
            os.environ.update(order["environment"])
            if "group" in order:
                rank = ranks.form(ranks.Group(**order["group"]), os.environ, outputs)
                os.environ.update(ranks.rank_environment(rank))
            else:
                os.close(outputs[0])
            if self._collects:
                gc.enable()
            assert self._function is not None  # noqa: S101 - for the type checker: _start looked
            warm.run(warm.Trial(**order["trial"]), self._function)
        finally:
            os._exit(trial_process.CANNOT_EXEC)  # nothing may ever return into the parent's loop

    def _fork_command(self, order: dict[str, Any], outputs: list[int]) -> tuple[int, str]:
        errors, write_end = os.pipe()
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            _become_command(order, outputs, parent, write_end)
        os.close(write_end)
        with open(errors, "rb") as file:
            error = file.read().decode(errors="replace")
        if error:
            os.waitpid(pid, 0)
        return pid, error

    def _reap(self) -> None:
        for trial in list(self._running.values()):
            if _has_ended(trial.pid):
                del self._running[trial.attempt]
                processes.kill_group(trial.pid)  # while its leader is not reaped, the group's number is surely its own
                _, status = os.waitpid(trial.pid, 0)
                self._lingering.append(_Lingering(trial, status, time.monotonic() + _LINGER_S))
        self._reap_orphans()
        for lingering in list(self._lingering):
            left = self._kill_leftovers(lingering.trial)
            if not left or time.monotonic() > lingering.until_s:
                self._lingering.remove(lingering)
                self._tell_exit(lingering, left)

    def _tell_exit(self, ended: _Lingering, survivors: int) -> None:
        code = os.waitstatus_to_exitcode(ended.status)
        told = {"say": "exited", "attempt": ended.trial.attempt, "survivors": survivors}
        self._say({**told, "code": code if code >= 0 else None, "signal": -code if code < 0 else None})

    def _reap_orphans(self) -> None:
        """Descendants of trials that became children of this process, so that no zombies gather."""
        known = {trial.pid for trial in self._running.values()} | self._inherited
        while hasattr(os, "waitid"):
            try:
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if ended is None or ended.si_pid in known:
                return
            os.waitpid(ended.si_pid, 0)

    def _kill_leftovers(self, trial: _Running) -> int:
        """Kills what is left of a trial's session, and its orphans in sessions of their own; how many there were."""
        left = int(processes.kill_group(trial.pid))
        # Who was born after a short trial has a higher pid, which spares reading about all processes of the machine;
        # after a long one, pids may have wrapped around.
        lowest = trial.pid if time.monotonic() - trial.began_s < 1.0 else 0
        for pid in processes.all_pids():
            if pid > lowest and pid not in self._inherited and self._is_left_by(trial, stat(pid)):
                left += processes.kill(pid)
        return left

    def _is_left_by(self, trial: _Running, found: Stat | None) -> bool:
        if found is None or found.state == "Z":
            return False
        if found.session == trial.pid:
            return True
        if found.parent != os.getpid() or any(found.session == other.pid for other in self._running.values()):
            return False
        # An orphan that made a session of its own. One that never called exec shows the environment of this process.
        return not self._running or processes.environment_has(found.pid, f"CLUSTERTUNE_ATTEMPT={trial.attempt}")

    def _children(self) -> list[Stat]:
        stats = (stat(pid) for pid in processes.all_pids())
        return [found for found in stats if found is not None and found.parent == os.getpid()]

    def _kill_all(self) -> None:
        for trial in self._running.values():
            processes.kill_group(trial.pid)
            processes.kill(trial.pid)
        for trial in self._running.values():
            os.waitpid(trial.pid, 0)
        for _ in range(100):  # each round's dead leave their children to this process
            orphans = [
                found.pid for found in self._children() if found.pid not in self._inherited and found.state != "Z"
            ]
            if not orphans:
                return
            for pid in orphans:
                processes.kill(pid)
            time.sleep(0.005)


def _become_command(order: dict[str, Any], outputs: list[int], parent: int, errors: int) -> NoReturn:
    try:
        trial_process.detach(outputs[0], parent, order.get("cgroups", ()))
        environment, program = order["environment"], order["program"]
        if "group" in order:
            rank = ranks.form(ranks.Group(**order["group"]), environment, outputs, errors)
            environment.update(ranks.rank_environment(rank))
            errors = 2 if rank else errors  # why it cannot be run is told once; the others' reasons are in the log
        trial_process.execute(order["argv"], program, order["workdir"], environment, errors)
    finally:
        os._exit(trial_process.CANNOT_EXEC)


def _has_ended(pid: int) -> bool:
    """Whether a child has ended; it stays unreaped where the system can tell so much."""
    if hasattr(os, "waitid"):
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    return _is_zombie(pid)


def _is_zombie(pid: int) -> bool:
    found = stat(pid)
    return found is None or found.state.startswith("Z")


def main() -> None:
    """The program: the link's file descriptor is the only argument."""
    processes.die_with_parent()
    Spawner(socket.socket(fileno=int(sys.argv[-1]))).serve()
    # Not by way of the interpreter's end: what the user's module left there is not ours to wait for.
    os._exit(0)
