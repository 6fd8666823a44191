"""Whatever happens in whatever order: invariants hold, and a restart from the journal gives the same state."""

from __future__ import annotations

import json
import math
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clustertune.coordinator.core import events as e
from clustertune.coordinator.core import facts as f
from clustertune.coordinator.core.core import Core
from clustertune.coordinator.core.state import Experiment
from clustertune.model.trial import EndReason
from clustertune.search.contracts import Next
from tests.coordinator.core.world import World, progress

STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "ran",
                "report",
                "end",
                "die",
                "drop",
                "join",
                "pause",
                "resume",
                "tick",
                "stop",
                "save",
                "stored",
                "climb",
            ]
        ),
        st.integers(0, 5),
        st.floats(0, 1) | st.just(math.nan),
        st.sampled_from([r for r in EndReason if r is not EndReason.LOST]),
    ),
    max_size=60,
)

LEARNED = [{"resource_from": 0, "config": {"lr": 0.5}}, {"resource_from": 3, "config": {"lr": 0.1}}]

OPTIONS: dict[str, dict[str, Any]] = {
    "asha": {"reduction_factor": 2},
    "asha-promotion": {"reduction_factor": 2},
    "async-hyperband": {"reduction_factor": 2},
    "successive-halving": {"reduction_factor": 2, "round_size": 4},
    "hyperband": {"reduction_factor": 2},
    "median-stopping": {"min_trials": 1},
    "plateau": {"window": 2},
    "population-based": {"population": 4, "interval": 2},
    "population-based-replay": {"schedule": json.dumps({"schedule": LEARNED})},
    "swapping": {},
}

SCHEDULERS = st.sampled_from(list(OPTIONS))


def chosen(scheduler: str) -> dict[str, Any]:
    return {"type": scheduler, **OPTIONS[scheduler]}


def wishes(experiment: Experiment) -> tuple[Next, list[int | None]]:
    """What the scheduler would have done now."""
    targets = [experiment.scheduler.target(trial.number) for trial in experiment.trials]
    return experiment.scheduler.next(), targets


def view(core: Core) -> dict[str, Any]:
    """All that a restart must bring back."""
    seen: dict[str, Any] = {}
    for experiment in core.state.experiments.values():
        seen[experiment.name] = {
            "state": experiment.state,
            "best": (experiment.best, experiment.best_loss, experiment.best_resource),
            "counts": {state: count for state, count in experiment.counts.items() if count},
            "reports": experiment.reports,
            "trials": [
                (t.config, t.state, t.attempts, t.resource, t.best_loss, t.failures, t.target, t.cut)
                for t in experiment.trials
            ],
            "kept": [
                (t.kept, t.parked, t.held, t.parent, t.origin, t.awaits, t.current and t.current.checkpoint)
                for t in experiment.trials
            ],
            "heirs": (experiment.heirs, experiment.clones, experiment.keepers),
            "active": sorted(experiment.active),
            "pending": list(experiment.pending),
            "flat": experiment.ended_since_best,
            "wishes": None if experiment.state.ended else wishes(experiment),
        }
    seen["instances"] = {i.id: (i.epoch, sorted(i.attempts)) for i in core.state.instances.values()}
    return seen


def climb(world: World, trial: int, value: float) -> None:
    """To the target, and wherever the scheduler then wants it."""
    world.report(trial, max(world.trial(trial).target or 1, (world.trial(trial).resource or 0) + 1), error=value)
    current = world.trial(trial).current
    if current is not None and current.stop == "paused":
        world.end(trial, EndReason.PAUSED)


def play(world: World, steps: list[tuple[str, int, float, EndReason]]) -> None:
    for action, number, value, reason in steps:
        experiment = world.experiment()
        active = sorted(experiment.active)
        instance = world.core.state.instances.get("local-0")
        if action in ("ran", "report", "end", "save", "climb") and active:
            trial = active[number % len(active)]
            if action == "ran":
                world.ran(trial)
            elif action == "climb":
                climb(world, trial, value)
            elif action == "save":
                world.save(trial, world.trial(trial).resource or 1, str(number), wanted=value > 0.5)
            elif action == "report":
                at = world.trial(trial).current.resource  # type: ignore[union-attr]
                world.report(trial, at + number, error=value)
            else:
                world.end(trial, reason, "Error: x" if reason is EndReason.RAISED else "")
        elif action == "stored" and experiment.keepers:
            kept = experiment.trials[max(experiment.keepers)].kept[-1]
            world.stored(kept.ref.digest, kept.attempt)
        elif action == "die" and instance is not None:
            world.send(e.InstanceVanished(instance="local-0", epoch=instance.epoch, reason="killed"))
        elif action == "drop" and instance is not None:
            world.send(e.AgentDisconnected(instance="local-0", epoch=instance.epoch))
        elif action == "join" and instance is not None:
            world.join(slots=3, epoch=instance.epoch)
        elif action == "pause":
            world.send(e.PauseAsked(experiment="digits"))
        elif action == "resume":
            world.send(e.ResumeAsked(experiment="digits"))
        elif action == "stop" and number == 0:
            world.send(e.StopAsked(experiment="digits"))
        else:
            world.send(e.Ticked(), after_s=2.0)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=STEPS, scheduler=SCHEDULERS)
def test_a_restart_from_the_journal_gives_the_state_that_was(
    steps: list[tuple[str, int, float, EndReason]], scheduler: str
) -> None:
    world = World()
    levels = {"name": "epoch", "min": 1, "max": 9}
    world.submit(trials=8, retries=1, scheduler=chosen(scheduler), resource=levels, seed=3)
    world.join(slots=3)
    play(world, steps)
    fresh = World(now=world.now)
    for now, fact in world.journal:
        fresh.core.fold.replay(f.read(*f.write(fact)), now)
    fresh.core.fold.restore(progress(world.reports))
    assert view(fresh.core) == view(world.core)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=STEPS, scheduler=SCHEDULERS)
def test_left_to_run_every_experiment_ends_and_every_trial_once(
    steps: list[tuple[str, int, float, EndReason]], scheduler: str
) -> None:
    world = World()
    world.submit(trials=6, scheduler=chosen(scheduler), resource={"name": "epoch", "min": 1, "max": 9})
    world.join(slots=3)
    play(world, steps)
    world = world.restarted()
    world.send(e.ResumeAsked(experiment="digits"))
    for _ in range(500):
        if world.experiment().state.ended and not world.experiment().active:
            break
        instance = world.core.state.instances.get("local-0")
        if instance is None:
            world.send(e.Ticked(), after_s=61)
        elif not instance.connected:
            world.join(slots=3, epoch=instance.epoch)
        else:
            trial = min(world.experiment().active)
            world.report(trial, (world.trial(trial).resource or 0) + 1, error=0.5)
            if (current := world.trial(trial).current) is not None:
                world.end(trial, EndReason.PAUSED if current.stop == "paused" else EndReason.RETURNED)
    assert world.experiment().state.ended
    ends: dict[int, int] = {}
    for _, fact in world.journal:
        if isinstance(fact, f.AttemptEnded | f.TrialMoved) and fact.state.ended:
            ends[fact.trial] = ends.get(fact.trial, 0) + 1
    assert set(ends.values()) <= {1}
    assert len(ends) == len(world.experiment().trials)
