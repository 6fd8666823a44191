"""The live loop: asks a coordinator how an experiment is, shows it, and survives the coordinator's death."""

from __future__ import annotations

from functools import partial

from clustertune.client.coordinator import Coordinator
from clustertune.model.errors import JournalFull, Mistake
from clustertune.model.snapshot import ExperimentSnapshot
from clustertune.model.trial import ExperimentState
from clustertune.view.displays import Display
from clustertune.view.interrupts import Interrupts
from clustertune.view.link import Link

FRAME_S = 0.25
EVENTS_A_PAGE = 500


def follow(
    link: Link, display: Display, interrupts: Interrupts, *, after: int = 0, pause_on_interrupt: bool
) -> ExperimentSnapshot:
    """Shows the experiment until it is over, paused and quiet, or left; returns it as it was last seen.

    The first Ctrl-C pauses the experiment and goes on until its trials are gone, or only leaves. Events up to the
    id ``after`` are not shown.
    """
    asked_to_pause = False
    while True:
        snapshot = link.ask(partial(Coordinator.experiment, name=link.name, after=after), display, interrupts)
        link.restarts.note(snapshot)
        display.show(snapshot, snapshot.events)
        after = snapshot.events[-1].id if snapshot.events else after
        if _over(snapshot) and len(snapshot.events) < EVENTS_A_PAGE:
            return snapshot
        if interrupts.count and not pause_on_interrupt:
            return snapshot
        if interrupts.count and not asked_to_pause:
            asked_to_pause = _pause(link, display, interrupts)
        if len(snapshot.events) < EVENTS_A_PAGE:
            interrupts.wait(FRAME_S)


def last_event_id(coordinator: Coordinator, name: str) -> int:
    """The newest event's id, 0 where there is none: where to begin for someone who wants no history."""
    last = 0
    while events := coordinator.experiment(name, last).events:
        last = events[-1].id
    return last


def _over(snapshot: ExperimentSnapshot) -> bool:
    return snapshot.state is not ExperimentState.RUNNING and not snapshot.running


def _pause(link: Link, display: Display, interrupts: Interrupts) -> bool:
    """Whether there is nothing more to ask for; what stood in the way is said."""
    try:
        link.ask(lambda coordinator: coordinator.pause(link.name), display, interrupts)
    except JournalFull as error:
        display.say(f"cannot pause yet: {error}")
        return False
    except Mistake:
        return True  # it ended in the meantime, as the next answer will tell
    display.say("pausing: its trials save and end; Ctrl-C again leaves at once")
    return True
