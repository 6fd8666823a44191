"""A trial of several processes: its leader forks the ranks, waits for them, and ends as the one that decides ended."""

from __future__ import annotations

import itertools
import json
import os
import signal
import socket
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from clustertune.agent import processes
from clustertune.agent.untrusted import read_text

_LAST_S = 1.0
"""How long ranks that outstayed the grace after rank 0's success may take to die of SIGTERM."""

_POLL_S = 0.02
_SAY_S = 1.0
_CANNOT_FORK = 127
_PORTS = range(20_000, 32_000)
"""Below those that Linux gives to outgoing connections, one of which could else take it before rank 0 listens."""

_OWN = {"SIGCHLD", "SIGTERM"}
_PASSED_ON = {"SIGUSR1", "SIGUSR2", "SIGHUP", "SIGINT", "SIGQUIT", "SIGALRM", "SIGVTALRM", "SIGPROF"}
"""What somebody sends to the program is for rank 0, who speaks for the group."""


@dataclass(frozen=True)
class Group:
    """``grace_s``: what ranks may take to end once one of them failed, or rank 0 has ended well."""

    size: int
    grace_s: float


_ports = itertools.count(os.getpid())
"""One after the other: two trials never get the same at once."""


def free_port() -> int:
    """A port of 127.0.0.1 where nobody listens. Raises OSError where there is none."""
    for index in itertools.islice(_ports, len(_PORTS)):
        port = _PORTS[index % len(_PORTS)]
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise OSError(f"no port between {_PORTS.start} and {_PORTS.stop} is free for MASTER_PORT")


def group_environment(size: int, port: int) -> dict[str, str]:
    """What torchrun, too, tells every process of a group on one machine."""
    return {
        "WORLD_SIZE": str(size),
        "LOCAL_WORLD_SIZE": str(size),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "CLUSTERTUNE_PROCESSES": str(size),
    }


def rank_environment(rank: int) -> dict[str, str]:
    """What one of them has of its own; only rank 0's lines in CLUSTERTUNE_METRICS are reports."""
    own = {"RANK": str(rank), "LOCAL_RANK": str(rank)}
    return own if rank == 0 else {**own, "CLUSTERTUNE_METRICS": os.devnull}


def form(group: Group, environment: Mapping[str, str], outputs: Sequence[int], private: int | None = None) -> int:
    """Forks the ranks. Returns in each of them, with its number; the calling process becomes the leader and never does.

    Each rank writes to its own of ``outputs``, so that no line of one is torn by another's; ``private`` is a descriptor
    for the ranks alone; ``environment`` says how the agent is reached.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _signals(_OWN | _PASSED_ON))
    leader, ranks = os.getpid(), dict[int, int]()
    for rank in range(group.size):
        try:
            pid = os.fork()
        except OSError as error:
            _give_up(ranks, f"no process could be made for rank {rank}: {error.strerror}")
        if pid == 0:
            _become_rank(leader, outputs[rank], outputs)
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            return rank
        ranks[pid] = rank
    for descriptor in (*outputs, *([] if private is None else [private])):
        os.close(descriptor)
    return _Leader(group, ranks, environment).lead()


def _become_rank(leader: int, output: int, outputs: Sequence[int]) -> None:
    processes.die_with_parent()
    if os.getppid() != leader:
        os._exit(_CANNOT_FORK)
    os.dup2(output, 1)
    os.dup2(output, 2)
    for descriptor in outputs:
        os.close(descriptor)


def _give_up(ranks: Mapping[int, int], why: str) -> NoReturn:
    os.write(2, f"clustertune: {why}\n".encode())
    for pid in ranks:
        processes.kill(pid)
    os._exit(_CANNOT_FORK)


class _Leader:
    """``status`` is what the group will end with, as wait() gives it; None while that is open."""

    def __init__(self, group: Group, ranks: Mapping[int, int], environment: Mapping[str, str]) -> None:
        self._group, self._alive, self._environment = group, dict(ranks), environment
        self._rank_0 = next(pid for pid, rank in ranks.items() if rank == 0)
        self._status: int | None = None
        self._steps: list[tuple[float, int]] = []  # what is sent when to those that are left

    def lead(self) -> NoReturn:
        while self._alive:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid:
                self._on_end(self._alive.pop(pid), status)
            else:
                self._wait()
        _end_like(self._status or 0)

    def _on_end(self, rank: int, status: int) -> None:
        pausing = bool(status) and self._is_pausing() and not _told_to_end()
        if pausing and rank and self._status is None:
            return  # whatever becomes of it, rank 0 may have to finish what it saves
        if pausing and rank == 0 and self._status is None:
            self._status = status
            self._let_end(_LAST_S, self._group.grace_s)
        elif self._status == 0:
            if status and not pausing and not self._steps_taken():
                self._say({"notice": f"rank {rank} {_how(status)} after rank 0 had ended well"})
        elif self._status is None and status:
            self._fail(rank, status)
        elif self._status is None and rank == 0:
            self._status = 0
            self._let_end(self._group.grace_s, self._group.grace_s + _LAST_S)

    def _let_end(self, patience_s: float, at_most_s: float) -> None:
        now_s = time.monotonic()
        self._steps = [(now_s + min(patience_s, at_most_s), signal.SIGTERM), (now_s + at_most_s, signal.SIGKILL)]

    def _is_pausing(self) -> bool:
        """Whether the program is to end once it has saved."""
        try:
            return read_text(Path(self._environment["CLUSTERTUNE_SAVE"])).strip() == "exit"
        except (OSError, ValueError, KeyError):
            return False

    def _fail(self, rank: int, status: int) -> None:
        self._status = status
        if not _told_to_end():  # else all were told to end, and SIGTERM a second time would disturb who cleans up
            self._say({"failed": str(rank)})
            self._signal_all(signal.SIGTERM)
        self._steps = [(time.monotonic() + self._group.grace_s, signal.SIGKILL)]

    def _steps_taken(self) -> bool:
        return len(self._steps) < 2

    def _wait(self) -> None:
        """Until a rank ends, a signal is to be passed on, or the next step is due."""
        left_s = self._steps[0][0] - time.monotonic() if self._steps else None
        if left_s is not None and left_s <= 0:
            number = self._steps.pop(0)[1]
            if number == signal.SIGTERM and not self._is_pausing():
                self._say({"notice": f"{len(self._alive)} other ranks went on after rank 0 had ended, and were ended"})
            self._signal_all(number)
        elif (received := _next_signal(left_s)) is not None and received != signal.SIGCHLD:
            processes.kill(self._rank_0, received)

    def _signal_all(self, number: int) -> None:
        for pid in self._alive:
            processes.kill(pid, number)

    def _say(self, told: Mapping[str, str]) -> None:
        """To the agent, over the reports' socket; where that cannot be, the exit code has to do."""
        who = {"attempt": self._environment["CLUSTERTUNE_ATTEMPT"], "key": self._environment["CLUSTERTUNE_KEY"]}
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as agent:
            agent.settimeout(_SAY_S)
            agent.connect(self._environment["CLUSTERTUNE_SOCKET"])
            agent.sendall(f"{json.dumps(who)}\n{json.dumps(told)}\n".encode())


def _told_to_end() -> bool:
    """By the agent, which tells every rank as well."""
    return signal.SIGTERM in signal.sigpending()


def _signals(names: set[str]) -> set[signal.Signals]:
    return {signal.Signals[name] for name in names}


def _next_signal(patience_s: float | None) -> int | None:
    """SIGTERM stays pending: every rank got its own, and the leader only has to know that it came."""
    wanted = _signals(_PASSED_ON | {"SIGCHLD"})
    if hasattr(signal, "sigtimedwait"):  # macOS has none
        received = signal.sigtimedwait(wanted, 3600.0 if patience_s is None else patience_s)
        return None if received is None else received.si_signo
    time.sleep(_POLL_S)
    pending = wanted & signal.sigpending()
    return signal.sigwait(pending) if pending else None


def _how(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    return f"ended with exit code {code}" if code >= 0 else f"was killed by signal {-code}"


def _end_like(status: int) -> NoReturn:
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        if -code != signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [-code])
        os.kill(os.getpid(), -code)
    os._exit(code if code >= 0 else 128 - code)
