"""The decisions: one synchronous function, ``handle(event, now) -> Step``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from clustertune.coordinator.core import events as e
from clustertune.coordinator.core import facts as f
from clustertune.coordinator.core.algorithms import Algorithms
from clustertune.coordinator.core.checkpoints import Checkpoints
from clustertune.coordinator.core.commands import Step
from clustertune.coordinator.core.desk import Desk
from clustertune.coordinator.core.experiments import Experiments
from clustertune.coordinator.core.fleet import LOST_AFTER_S, Fleet
from clustertune.coordinator.core.fold import Fold
from clustertune.coordinator.core.slots import Slots
from clustertune.coordinator.core.state import State
from clustertune.coordinator.core.suggestions import Suggestions
from clustertune.coordinator.core.trials import Trials

_OF_ONE_TRIAL = frozenset({e.Reported, e.AttemptRan})
_ITS_OWN = frozenset({f.AttemptStarted, f.RungReached, f.StopOrdered, f.Improved})
"""Facts that free no slot, and after which no experiment that had nothing to start has something."""


class Core:
    """Everything that is decided. No clock, no input or output, no randomness of its own.

    ``env`` and ``secrets`` (names) are the cluster's, added to each experiment's own. ``instances`` are the names of
    the machines that the cluster may have. ``token_hash(instance, epoch)`` gives the hash of an agent's token. An
    agent unheard of for ``lost_after_s`` loses its attempts to others.
    """

    def __init__(
        self,
        *,
        algorithms: Algorithms,
        env: Mapping[str, str],
        secrets: Sequence[str] = (),
        instances: tuple[str, ...],
        idle_timeout_s: float,
        token_hash: Callable[[str, int], str],
        lost_after_s: float = LOST_AFTER_S,
    ) -> None:
        self._desk = Desk(algorithms, env, secrets)
        self._checkpoints = checkpoints = Checkpoints(self._desk)
        self._experiments = experiments = Experiments(self._desk, checkpoints)
        trials = Trials(self._desk, experiments, checkpoints)
        self._suggestions = suggestions = Suggestions(self._desk)
        self._slots = Slots(self._desk, experiments, suggestions)
        self._fleet = Fleet(
            self._desk,
            experiments,
            trials,
            self._slots,
            checkpoints,
            instances=instances,
            idle_timeout_s=idle_timeout_s,
            token_hash=token_hash,
            lost_after_s=lost_after_s,
        )
        self._leaving = False
        self._handlers: dict[type, Callable[[Any], None]] = {
            e.Booted: self._fleet.booted,
            e.Ticked: self._ticked,
            e.Submitted: self._submitted,
            e.PauseAsked: experiments.pause_asked,
            e.ResumeAsked: experiments.resume_asked,
            e.StopAsked: experiments.stop_asked,
            e.UpAsked: self._fleet.up_asked,
            e.DownAsked: self._fleet.down_asked,
            e.LaunchFailed: self._fleet.launch_failed,
            e.AgentConnected: self._fleet.agent_connected,
            e.AgentDisconnected: self._fleet.agent_disconnected,
            e.InstanceVanished: self._fleet.instance_vanished,
            e.AttemptRan: trials.attempt_ran,
            e.Reported: trials.reported,
            e.AttemptOver: trials.attempt_over,
            e.CheckpointSaved: checkpoints.saved,
            e.CheckpointsHeld: checkpoints.held,
            e.CheckpointStored: checkpoints.stored,
            e.StoringFailed: checkpoints.storing_failed,
            e.CheckpointDeleted: checkpoints.deleted,
            e.StorageTidied: checkpoints.storage_tidied,
            e.AttemptDescribed: trials.described,
            e.Suggested: suggestions.suggested,
            e.SuggestingFailed: suggestions.failed,
        }

    @property
    def state(self) -> State:
        """Everything as it is now. To be read only."""
        return self._desk.state

    @property
    def fold(self) -> Fold:
        """For the journal's reader, before the first event."""
        return self._desk.fold

    @property
    def fleet(self) -> Fleet:
        """Which machines there may be, and what keeps them from coming up. To be read only."""
        return self._fleet

    def wants(self, attempt: str, digest: str) -> bool:
        """Whether what an attempt saved is to be kept."""
        return self._checkpoints.wants(attempt, digest)

    def handle(self, event: e.Happening, now: float) -> Step:
        """Decides what an event means. Write the step's facts and rows before carrying out its commands."""
        step = self._desk.begin(now)
        self._handlers[type(event)](event)
        if self._desk.fold.unusable:
            self._experiments.give_up_unusable()
        if self._leaving:
            return step
        # What a report changes of its own trial, and nearly all of them do no more, gives nobody anything to start.
        kind, facts = type(event), step.facts
        if self._slots.starved or kind not in _OF_ONE_TRIAL or (facts and not _ITS_OWN.issuperset(map(type, facts))):
            self._look_around()
        elif facts and kind is e.Reported:
            self._suggestions.ask()
        return step

    def _look_around(self) -> None:
        self._slots.fill()
        if self._desk.fold.unusable:
            self._experiments.give_up_unusable()
        self._suggestions.ask()
        self._fleet.size()

    def _submitted(self, event: e.Submitted) -> None:
        self._experiments.submitted(event)
        self._fleet.try_again()
        self._fleet.check_demands()

    def _ticked(self, event: e.Ticked) -> None:
        self._fleet.ticked(event)
        self._experiments.ticked()

    def leave(self, now: float, *, stop_agents: bool) -> Step:
        """The coordinator is about to end: so does every machine that holds no attempt, or every one there is.

        Nothing is started any more. Trials that were ended with their machines run again when the coordinator is back.
        """
        step = self._desk.begin(now)
        self._leaving = True
        self._fleet.leave(stop_agents=stop_agents)
        return step
