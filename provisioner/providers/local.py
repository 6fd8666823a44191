"""This machine as a provider: an agent is a detached process with a folder of its own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from clustertune.model.errors import ProviderError, ProviderFatal
from clustertune.model.processes import start_mark
from clustertune.provisioner.contracts import Found, Furnished, LaunchIntent, Outfit, ProviderSetting, Tell

_LEAVE_S = 15.0
"""How long an agent has for ending its trials before it is killed."""

_WORDS_BYTES = 4096


class Local:
    """Keeps ``folder/INSTANCE/``: the agent's own folder, ``agent.log``, and who it is in ``agent.json``."""

    def __init__(self, setting: ProviderSetting) -> None:
        self._folder = setting.folder
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._changing: defaultdict[str, threading.RLock] = defaultdict(threading.RLock)
        """One launch or end of an instance at a time: an agent that is just being started could not be ended."""

    def instances(self) -> Sequence[str]:
        return ("local-0",)

    def launch(self, intent: LaunchIntent, tell: Tell) -> None:
        del tell  # it takes no time worth telling of
        with self._changing[intent.instance]:
            if not any(found.instance == intent.instance and found.epoch == intent.epoch for found in self.list()):
                self._launch(intent)

    def _launch(self, intent: LaunchIntent) -> None:
        home = self._folder / intent.instance
        try:
            self.terminate([intent.instance])
            home.mkdir(parents=True, exist_ok=True, mode=0o700)
            (home / "agent.log").touch(mode=0o600)
            with (home / "agent.log").open("ab") as log:
                child = subprocess.Popen(
                    [sys.executable, "-m", "clustertune.agent", "--folder", str(home)],
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            self._children[intent.instance] = child
            _write_whole(home / "agent.json", {"pid": child.pid, "mark": start_mark(child.pid), "epoch": intent.epoch})
            _hand_over(child, intent)
        except OSError as error:
            raise ProviderError(f"the agent on this machine cannot be started: {error}") from error

    def adopt(self, intents: Sequence[LaunchIntent]) -> None:
        """Agents here reach the next coordinator by themselves: its sockets have the same paths."""

    def furnish(self, instance: str, outfit: Outfit, tell: Tell) -> Furnished:  # noqa: ARG002 - the contract's
        """Trials run where the program lies: there is nothing to bring, and no other place to name."""
        raise ProviderFatal(f"{instance} is this machine itself, where programs run in place")

    def list(self) -> Sequence[Found]:
        found = []
        for path in sorted(self._folder.glob("*/agent.json")):
            instance = path.parent.name
            who = _read(path)
            # Looked at first: who ends between the two is reaped all the same.
            lives = who is not None and _lives(who)
            self._reap(instance)
            if who is not None and lives:
                found.append(Found(instance=instance, epoch=int(str(who["epoch"]))))
        return found

    def terminate(self, instances: Sequence[str]) -> None:
        for instance in instances:
            with self._changing[instance]:
                self._terminate(instance)

    def _terminate(self, instance: str) -> None:
        path = self._folder / instance / "agent.json"
        who = _read(path)
        if who is not None and _lives(who):
            self._end(instance, who)
        self._reap(instance)
        path.unlink(missing_ok=True)

    def last_words(self, instance: str) -> str:
        with contextlib.suppress(OSError), (self._folder / instance / "agent.log").open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - _WORDS_BYTES))
            return log.read().decode(errors="replace").strip()
        return ""

    def close(self) -> None:
        """There is no connection to let go of."""

    def _end(self, instance: str, who: dict[str, object]) -> None:
        pid = int(str(who["pid"]))
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + _LEAVE_S
        while time.monotonic() < deadline:
            lives = _lives(who)
            self._reap(instance)
            if not lives:
                return
            time.sleep(0.02)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        if (child := self._children.pop(instance, None)) is not None:
            child.wait()

    def _reap(self, instance: str) -> None:
        child = self._children.get(instance)
        if child is not None and child.poll() is not None:
            del self._children[instance]


def _hand_over(child: subprocess.Popen[bytes], intent: LaunchIntent) -> None:
    told = {
        "socket": str(intent.agent_socket),
        "files": str(intent.files_socket),
        "instance": intent.instance,
        "epoch": intent.epoch,
        "token": intent.token,
        "slots": intent.slots,
    }
    if child.stdin is not None:
        # An agent that dies at once is found by list(); its log says why.
        with contextlib.suppress(BrokenPipeError), child.stdin as pipe:
            pipe.write(json.dumps(told).encode())


def _lives(who: dict[str, object]) -> bool:
    """Whether the very process lives, and not another that was given its number later."""
    mark = start_mark(int(str(who["pid"])))
    return mark is not None and mark == who["mark"]


def _read(path: Path) -> dict[str, object] | None:
    try:
        who = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return who if isinstance(who, dict) and {"pid", "mark", "epoch"} <= who.keys() else None


def _write_whole(path: Path, value: object) -> None:
    part = path.with_suffix(".part")
    part.touch(mode=0o600)
    part.write_text(json.dumps(value))
    part.replace(path)
