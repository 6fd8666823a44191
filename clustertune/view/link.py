"""One experiment at a coordinator that may die while one looks on: when it is started again, and when that ends."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from clustertune.client.coordinator import Coordinator
from clustertune.model.errors import CoordinatorUnreachable, JournalFull, Mistake
from clustertune.model.snapshot import ExperimentSnapshot
from clustertune.model.trial import ExperimentState
from clustertune.view.displays import Display
from clustertune.view.interrupts import Interrupts
from clustertune.view.progress import ended

T = TypeVar("T")

FIRST_WAIT_S = 0.2
LONGEST_WAIT_S = 5.0
MOST_RESTARTS = 8
WITHIN_S = 120.0
DISK_POLL_S = 2.0


@dataclass
class Restarts:
    """How long to wait before the next restart: longer each time, until the experiment has come further."""

    _at: deque[float] = field(default_factory=deque)
    _reached: tuple[int, int] = (-1, -1)

    def next_wait_s(self, now: float) -> float | None:
        """None where there were too many in a short time. ``now`` is in seconds of a monotonic clock."""
        while self._at and now - self._at[0] > WITHIN_S:
            self._at.popleft()
        if len(self._at) >= MOST_RESTARTS:
            return None
        self._at.append(now)
        return min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** (len(self._at) - 1))

    def note(self, snapshot: ExperimentSnapshot) -> None:
        """More reports, or more ended trials, are progress: it was worth starting again."""
        reached = (snapshot.reports, ended(snapshot))
        if self._reached != (-1, -1) and reached > self._reached:
            self._at.clear()
        self._reached = max(self._reached, reached)


@dataclass
class Link:
    """One experiment at a coordinator that may have to be started again while one looks on.

    ``connect`` finds or starts it. ``secrets`` are given again to one that is new: it keeps them in memory only.
    ``log_end`` is the end of its log, for the message that gives up. ``leaves`` says that Ctrl-C only ends the view.
    """

    name: str
    coordinator: Coordinator
    connect: Callable[[], Coordinator]
    secrets: Mapping[str, str]
    log_end: Callable[[], str] = lambda: ""
    leaves: bool = False
    restarts: Restarts = field(default_factory=Restarts)
    _owes_secrets: bool = False

    def ask(self, question: Callable[[Coordinator], T], display: Display, interrupts: Interrupts) -> T:
        """The answer, from a restarted coordinator where need be.

        Raises CoordinatorUnreachable when it dies again and again, KeyboardInterrupt when the user leaves meanwhile.
        """
        while True:
            try:
                self._hand_over_secrets()
                return question(self.coordinator)
            except CoordinatorUnreachable as error:
                self._reconnect(error, display, interrupts)

    def _reconnect(self, error: CoordinatorUnreachable, display: Display, interrupts: Interrupts) -> None:
        wait_s = self.restarts.next_wait_s(time.monotonic())
        if wait_s is None:
            raise CoordinatorUnreachable(
                f"the coordinator ended {MOST_RESTARTS} times within {WITHIN_S / 60:.0f} minutes and {self.name} came "
                f"no further ({error}){self.log_end()}"
            ) from error
        display.say("the coordinator went away; starting it again (nothing is lost)")
        self._wait(wait_s, interrupts)
        self.coordinator.close()
        self.coordinator = self._connected(display, interrupts)
        self._owes_secrets = bool(self.secrets)
        display.say("the coordinator is back")

    def _connected(self, display: Display, interrupts: Interrupts) -> Coordinator:
        """Waits as long as it takes for room on the disk."""
        said = False
        while True:
            try:
                return self.connect()
            except JournalFull as error:
                if not said:
                    display.say(f"{error}; trying again every {DISK_POLL_S:.0f} s, Ctrl-C leaves")
                    said = True
            self._wait(DISK_POLL_S, interrupts, leaves=True)

    def _wait(self, seconds: float, interrupts: Interrupts, *, leaves: bool = False) -> None:
        interrupts.wait(seconds)
        if interrupts.count and (leaves or self.leaves):
            raise KeyboardInterrupt  # there is nobody to pause it, and nothing to look at

    def _hand_over_secrets(self) -> None:
        if not self._owes_secrets:
            return
        try:
            if self.coordinator.experiment(self.name).state is ExperimentState.RUNNING:
                self.coordinator.resume(self.name, self.secrets)
        except JournalFull:
            return  # it cannot take them now; the next question brings them again
        except Mistake:
            pass  # it ended meanwhile, as the next answer will tell
        self._owes_secrets = False
