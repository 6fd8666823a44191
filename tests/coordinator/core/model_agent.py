"""An agent and its programs as a model: what it is told arrives when the test says so, and what it says as well."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from clustertune.coordinator.core import commands as c
from clustertune.coordinator.core import events as e
from clustertune.model.checkpoint import SavedKind
from clustertune.model.instance import Inventory
from clustertune.model.trial import Ending, EndReason, Report


@dataclass
class Program:
    """An attempt's program. ``waits``: it reported its target, and is to be told what now."""

    level: int
    target: int | None
    pauses: bool
    waits: bool = False
    stop: str = ""


@dataclass
class ModelAgent:
    """``outbox`` holds what is unacknowledged, ``sent`` says how much of it went out on this connection."""

    instance: str
    epoch: int
    inventory: Inventory
    in_storage: Callable[[str], bool]
    connected: bool = False
    seq: int = 0
    sent: int = 0
    outbox: deque[tuple[int, e.Happening]] = field(default_factory=deque)
    inbox: deque[c.Command] = field(default_factory=deque)
    running: dict[str, Program] = field(default_factory=dict)
    known: set[str] = field(default_factory=set)
    held: dict[str, list[str]] = field(default_factory=dict)
    storing: list[tuple[str, str]] = field(default_factory=list)

    def say(self, event: type[Any], /, **what: Any) -> None:
        self.seq += 1
        self.outbox.append((self.seq, event(instance=self.instance, epoch=self.epoch, **what)))

    def next_message(self) -> tuple[int, e.Happening] | None:
        """What goes out next on this connection."""
        if self.sent >= len(self.outbox):
            return None
        self.sent += 1
        return self.outbox[self.sent - 1]

    def acknowledged(self, through: int) -> None:
        while self.outbox and self.outbox[0][0] <= through:
            self.outbox.popleft()
            self.sent = max(0, self.sent - 1)

    def connect(self) -> None:
        self.connected, self.sent = True, 0
        self.say(e.CheckpointsHeld, digests={attempt: tuple(held) for attempt, held in self.held.items() if held})

    def disconnect(self) -> None:
        self.connected = False
        self.inbox.clear()

    def restart(self) -> None:
        """Its process was killed, and began anew in the same folder: what ran is lost, what was saved is not."""
        self.disconnect()
        self.storing.clear()
        for attempt in list(self.running):
            self.end(attempt, EndReason.LOST)

    # What it is told

    def obey(self, command: c.Command) -> None:
        if isinstance(command, c.StartAttempt):
            self._start(command)
        elif isinstance(command, c.StopAttempt) and command.attempt in self.running:
            self.running[command.attempt].stop = command.reason
        elif isinstance(command, c.LetGoOn) and command.attempt in self.running:
            program = self.running[command.attempt]
            program.target, program.waits = command.target, False
        elif isinstance(command, c.AskForCheckpoint) and command.attempt in self.running:
            self.save(command.attempt, f"{command.attempt}@{self.running[command.attempt].level}")
        elif isinstance(command, c.StoreCheckpoint):
            what = (command.attempt, command.digest)
            if command.digest in self.held.get(command.attempt, ()) and what not in self.storing:
                self.storing.append(what)
        elif isinstance(command, c.DiscardCheckpoints):
            held = self.held.get(command.attempt, [])
            self.held[command.attempt] = [digest for digest in held if digest not in command.digests]
            self.storing = [x for x in self.storing if not (x[0] == command.attempt and x[1] in command.digests)]

    def _start(self, command: c.StartAttempt) -> None:
        if command.attempt in self.known:
            return
        self.known.add(command.attempt)
        begins = command.checkpoint
        if begins is not None and not self._has(begins.digest):
            self.say(e.AttemptOver, attempt=command.attempt, ending=_ending(EndReason.NO_CHECKPOINT, "it is gone"))
            return
        level = begins.resource if begins is not None else 0
        self.running[command.attempt] = Program(level=level, target=command.target, pauses=command.run.pauses)
        self.say(e.AttemptRan, attempt=command.attempt)

    def _has(self, digest: str) -> bool:
        return self.in_storage(digest) or any(digest in held for held in self.held.values())

    # What its programs do

    def report(self, attempt: str, value: float, *, jump: int = 1, empty: bool = False) -> None:
        program = self.running[attempt]
        program.level += jump
        metrics = {} if empty else {"error": value}
        self.say(e.Reported, attempt=attempt, reports=(Report(resource=program.level, metrics=metrics),))
        if program.pauses and program.target is not None and program.level >= program.target:
            program.waits = True

    def save(self, attempt: str, digest: str, *, wanted: bool = True, kind: SavedKind = SavedKind.CHECKPOINT) -> None:
        level = max(1, self.running[attempt].level)
        held = self.held.setdefault(attempt, [])
        self.held[attempt] = [*(each for each in held if each != digest), digest]
        what = {"kind": kind, "resource": level, "digest": digest, "size_bytes": 3, "wanted": wanted}
        self.say(e.CheckpointSaved, attempt=attempt, **what)

    def end(self, attempt: str, reason: EndReason) -> None:
        del self.running[attempt]
        failed = reason in (EndReason.RAISED, EndReason.UNSTARTABLE, EndReason.LOST)
        self.say(e.AttemptOver, attempt=attempt, ending=_ending(reason, "Error: x" if failed else ""))

    def as_told(self, attempt: str, value: float, top: int) -> None:
        """What a program does that does what it should: ends when told to, else goes on to the top and returns."""
        program = self.running[attempt]
        if program.stop == "paused":
            if program.level:
                self.save(attempt, f"{attempt}@{program.level}")
            self.end(attempt, EndReason.PAUSED)
        elif program.stop:
            self.end(attempt, EndReason.STOPPED)
        elif program.waits:
            return
        elif program.level < top:
            self.report(attempt, value)
        else:
            self.end(attempt, EndReason.RETURNED)


def _ending(reason: EndReason, error: str) -> Ending:
    return Ending(reason=reason, error=error, elapsed_s=1.0)
