"""Chaos in simulated time: machines, links, disks and coordinators fail between any two events, in any order."""

from __future__ import annotations

import math
import os
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from clustertune.coordinator.core import commands as c
from clustertune.coordinator.core import events as e
from clustertune.coordinator.core import facts as f
from clustertune.coordinator.core.state import Experiment
from clustertune.model.checkpoint import SavedKind
from clustertune.model.instance import Inventory
from clustertune.model.trial import EndReason, ExperimentState
from tests.coordinator.core import invariants
from tests.coordinator.core.model_agent import ModelAgent
from tests.coordinator.core.model_shell import ModelShell
from tests.coordinator.core.test_replay import SCHEDULERS, chosen
from tests.coordinator.core.world import definition

MACHINES = {
    "m0": Inventory(cpus=2, memory_bytes=2**33, slots=2),
    "m1": Inventory(cpus=2, memory_bytes=2**33),
    "m2": Inventory(cpus=1, memory_bytes=2**33, slots=1),
}
TOP = 9
MOVES = ["up", "link", "obey", "obey", "hear", "hear", "hear", "work", "work", "work", "store", "answer", "commit"]
EXAMPLES = int(os.environ.get("CLUSTERTUNE_STATE_MACHINES", "150"))
"""How many stories are told, of up to sixty steps each; thousands find what is rare."""

SMALL = st.integers(0, 7)
VALUES = st.integers(0, 20).map(lambda tenths: tenths / 20) | st.sampled_from([math.nan, math.inf, -math.inf])
ENDS = [r for r in EndReason if r is not EndReason.LOST]
DEFINITIONS = st.fixed_dictionaries(
    {
        "trials": st.integers(1, 6),
        "retries": st.integers(0, 2),
        "scheduler": SCHEDULERS.map(chosen) | st.just({"type": "fifo"}),
        "searcher": st.sampled_from([{"type": "random"}, {"type": "random"}, {"type": "counting", "design": 1}]),
        "objective": st.sampled_from(["best", "best", "last"]).map(
            lambda take: {"metric": "error", "goal": "minimize", "take": take}
        ),
        "resource": st.booleans().map(lambda on: {"name": "epoch", "min": 1, "max": TOP, "cumulative": on}),
    },
    optional={
        "parallel": st.integers(1, 2),
        "stop": st.sampled_from([{"flat": 3}, {"target": 0.0}, {"time": "10m"}]),
        "per_trial": st.sampled_from([{"cpus": 2}, {"cpus": 0.5}]),
        "checkpoints": st.just({"disk": 4}),
    },
)


class Chaos(RuleBasedStateMachine):
    """Its steps are what can happen to a cluster; most of them go on where a machine or a program was."""

    def __init__(self) -> None:
        super().__init__()
        self.shell = ModelShell(tuple(MACHINES), MACHINES)
        self.steps = 0

    @rule(moves=st.lists(st.tuples(st.sampled_from(MOVES), SMALL, VALUES), min_size=5, max_size=40))
    def go_on(self, moves: list[tuple[str, int, float]]) -> None:
        """What happens where nothing is wrong, in some order, and not all of it."""
        for move, which, value in moves:
            if move == "up":
                self.launch(which, "up")
            elif move == "answer" and self.shell.asked:
                self._answer(abs(value) % 1 if math.isfinite(value) else 0.0)
            elif move == "commit":
                self.shell.commit(which)
            elif self.shell.agents:
                self._go_on(self._agent(which), move, which, value)

    def _go_on(self, agent: ModelAgent, move: str, which: int, value: float) -> None:
        if move == "link" and not agent.connected:
            self.shell.link(agent)
        elif move == "hear":
            self.shell.hear(agent)
        elif move == "obey" and agent.inbox:
            agent.obey(agent.inbox.popleft())
        elif move == "store" and agent.storing:
            self._store(agent)
        elif move == "work" and agent.running:
            agent.as_told(list(agent.running)[which % len(agent.running)], value, TOP)

    # Users

    @initialize(changes=DEFINITIONS, up=st.integers(0, 3))
    def begin(self, changes: dict[str, Any], up: int) -> None:
        self.submit(changes)
        for _ in range(up):
            self.launch(0, "up")

    @precondition(lambda self: len(self.shell.core.state.experiments) < 3)
    @rule(changes=DEFINITIONS)
    def submit(self, changes: dict[str, Any]) -> None:
        name = f"digits-{len(self.shell.core.state.experiments)}"
        plain = definition(**changes)
        self.shell.send(e.Submitted(experiment=name, definition=plain, workdir="/x", python="python"))

    @precondition(lambda self: self.shell.core.state.experiments)
    @rule(
        kind=st.sampled_from([e.PauseAsked, e.ResumeAsked, e.ResumeAsked, e.StopAsked, e.UpAsked, e.DownAsked]),
        which=SMALL,
    )
    def ask(self, kind: type[Any], which: int) -> None:
        """Whoever asks twice has asked once."""
        if which > 3:
            return
        names = list(self.shell.core.state.experiments)
        event = kind() if kind in (e.UpAsked, e.DownAsked) else kind(experiment=names[which % len(names)])
        if kind is not e.StopAsked or which == 0:
            self.shell.send(event)
            again = self.shell.send(event)
            asked = [fact for fact in again.facts if isinstance(fact, f.ExperimentChanged | f.StopOrdered)]
            assert not asked, f"{event} asked again came to {asked}"

    # Time

    @rule(seconds=st.sampled_from([0.2, 2.0, 40.0, 130.0, 400.0]), asleep=st.booleans())
    def pass_time(self, seconds: float, asleep: bool) -> None:
        """``asleep``: the laptop was closed meanwhile."""
        steps = 1 if asleep else max(1, int(seconds / 9))
        for _ in range(steps):
            self.shell.send(e.Ticked(), after_s=seconds / steps)

    # Disk and coordinator

    @rule(slow=st.booleans())
    def disk(self, slow: bool) -> None:
        self.shell.slow = slow
        if not slow:
            self.shell.commit(len(self.shell.waiting))

    @precondition(lambda self: self.shell.waiting)
    @rule(count=SMALL)
    def commit(self, count: int) -> None:
        self.shell.commit(count)

    @rule(keep=st.integers(0, 20))
    def crash(self, keep: int) -> None:
        self.shell.crash(keep)

    # Machines

    def _absent(self, which: int) -> tuple[str, int] | None:
        """A machine that was asked for and has no agent yet."""
        known = self.shell.core.state.instances
        there = [(i.id, i.epoch) for i in known.values() if (i.id, i.epoch) not in self.shell.agents]
        ordered = [x for x in there if x in {(y.instance, y.epoch) for y in self.shell.launching}]
        found = ordered or [x for x in there if not self.shell.waiting]
        return found[which % len(found)] if found else None

    @rule(which=SMALL, fate=st.sampled_from(["up", "up", "up", "fail", "refused", "vanish"]))
    def launch(self, which: int, fate: str) -> None:
        if (found := self._absent(which)) is None:
            return
        instance, epoch = found
        if fate == "up":
            self.shell.came_up(instance, epoch)
            return
        self.shell.gone(instance, epoch)
        if fate == "vanish":
            self.shell.send(e.InstanceVanished(instance=instance, epoch=epoch, reason="it is gone"))
        else:
            self.shell.send(e.LaunchFailed(instance=instance, epoch=epoch, error="no", retry=fate == "fail"))

    def _agent(self, which: int) -> ModelAgent:
        agents = list(self.shell.agents.values())
        return agents[which % len(agents)]

    @precondition(lambda self: self.shell.agents)
    @rule(which=SMALL, fate=st.sampled_from(["cut", "back", "back", "again", "vanish", "told to be gone", "killed"]))
    def machine(self, which: int, fate: str) -> None:
        agent = self._agent(which)
        if fate == "cut":
            self.shell.cut(agent)
        elif fate == "back" and not agent.connected:
            self.shell.link(agent)
        elif fate == "again" and agent.connected:
            self.shell.link(agent)  # before the coordinator noticed that the link before was down
        elif fate == "killed":
            self.shell.cut(agent)
            agent.restart()
        elif fate.startswith(("vanish", "told")):
            if fate == "vanish":
                self.shell.gone(agent.instance, agent.epoch)
            # Else the provider is mistaken: it lives on, and its link with it.
            self.shell.send(e.InstanceVanished(instance=agent.instance, epoch=agent.epoch, reason="it is gone"))

    # What travels

    @precondition(lambda self: self.shell.agents)
    @rule(which=SMALL, count=st.integers(1, 6))
    def hear(self, which: int, count: int) -> None:
        agent = self._agent(which)
        for _ in range(count):
            self.shell.hear(agent)

    @precondition(lambda self: self.shell.agents)
    @rule(which=SMALL, count=st.integers(1, 6), twice=st.booleans())
    def obey(self, which: int, count: int, twice: bool) -> None:
        agent = self._agent(which)
        for _ in range(min(count, len(agent.inbox))):
            command = agent.inbox.popleft()
            for _ in range(1 + twice):
                agent.obey(command)

    @precondition(lambda self: any(entry.received for entry in self.shell.journal))
    @rule(which=st.integers(0, 60))
    def echo(self, which: int) -> None:
        """What was heard and is on disk is heard again, past all that guards against it; it changes nothing."""
        heard = [x.event for x in self.shell.journal if isinstance(x.event, e.AttemptRan | e.Reported | e.AttemptOver)]
        if heard:
            step = self.shell.send(heard[which % len(heard)])
            done = [x for x in step.facts if isinstance(x, f.AttemptStarted | f.AttemptEnded | f.RungReached)]
            assert not done
            assert not any(row.observed for row in step.reports)

    # Programs

    @precondition(lambda self: any(agent.running for agent in self.shell.agents.values()))
    @rule(
        which=SMALL, value=VALUES, does=st.sampled_from(["as told"] * 6 + ["jump", "empty", "save", "same", "result"])
    )
    def work(self, which: int, value: float, does: str) -> None:
        agent, attempt = self._program(which)
        program = agent.running[attempt]
        if does == "as told":
            agent.as_told(attempt, value, TOP)
        elif does in ("jump", "empty") and not program.waits:
            agent.report(attempt, value, jump=3 if does == "jump" else 1, empty=does == "empty")
        elif does in ("save", "same"):
            digest = "same" if does == "same" else f"{attempt}@{program.level}"
            agent.save(attempt, digest, wanted=value > 0.5)
        elif does == "result":
            agent.save(attempt, f"{attempt}!", kind=SavedKind.RESULT, wanted=False)
        for _ in range(which % 3):
            self.shell.hear(agent)

    def _program(self, which: int) -> tuple[ModelAgent, str]:
        programs = [(agent, attempt) for agent in self.shell.agents.values() for attempt in agent.running]
        return programs[which % len(programs)]

    @precondition(lambda self: any(agent.running for agent in self.shell.agents.values()))
    @rule(which=SMALL, reason=st.sampled_from(ENDS))
    def die(self, which: int, reason: EndReason) -> None:
        agent, attempt = self._program(which)
        agent.end(attempt, reason)

    # Storage and searchers

    @precondition(lambda self: any(agent.storing for agent in self.shell.agents.values()))
    @rule(which=SMALL, well=st.booleans())
    def store(self, which: int, well: bool) -> None:
        agents = [agent for agent in self.shell.agents.values() if agent.storing]
        self._store(agents[which % len(agents)], well=well)

    def _store(self, agent: ModelAgent, *, well: bool = True) -> None:
        if not well:
            attempt, digest = agent.storing[0]
            agent.say(e.StoringFailed, attempt=attempt, digest=digest, error="it is full")
        elif agent.connected:
            attempt, digest = agent.storing.pop(0)
            if self.shell.core.wants(attempt, digest):
                self.shell.storage.add(digest)
                self.shell.send(e.CheckpointStored(attempt=attempt, digest=digest))

    @precondition(lambda self: self.shell.asked)
    @rule(value=st.floats(0, 1), well=st.booleans(), none=st.booleans())
    def answer(self, value: float, well: bool, none: bool) -> None:
        self._answer(value, well=well, none=none and value < 0.1)

    def _answer(self, value: float, *, well: bool = True, none: bool = False) -> None:
        asked = self.shell.asked.pop(0)
        if isinstance(asked, c.DeleteStored):
            if asked.digest in self.shell.core.state.experiments[asked.experiment].deleting:
                self.shell.storage.discard(asked.digest)
                self.shell.send(e.CheckpointDeleted(experiment=asked.experiment, digest=asked.digest))
        elif isinstance(asked, c.TidyStorage):
            self.shell.send(e.StorageTidied(experiment=asked.experiment))
        elif well:
            configs = () if none else tuple({"lr": (value + i / 100) % 1} for i in range(asked.count))
            self.shell.send(e.Suggested(experiment=asked.experiment, known=asked.known, configs=configs))
        else:
            self.shell.send(e.SuggestingFailed(experiment=asked.experiment, error="no"))

    # What must hold

    @invariant()
    def every_so_often(self) -> None:
        self.steps += 1
        if self.steps % 10 == 0:
            invariants.at_length(self.shell)

    def teardown(self) -> None:
        """Left in peace, everything ends: no trial waits for what does not come, and nothing is left anywhere."""
        invariants.at_length(self.shell)
        self.disk(slow=False)
        for experiment in self._going():
            self.shell.send(e.ResumeAsked(experiment=experiment.name))
        for _ in range(2_000):
            if not self._going() and not any(agent.running for agent in self.shell.agents.values()):
                break
            self._peace()
        assert not self._going(), [(x.name, x.state, x.counts, x.trials) for x in self._going()]
        for _ in range(20):
            self._peace()
        invariants.at_length(self.shell)
        for experiment in self.shell.core.state.experiments.values():
            assert all(trial.state.ended for trial in experiment.trials), experiment.trials
            assert not experiment.deleting, (experiment.deleting, experiment.copies)
            assert not experiment.untidy, list(experiment.saving())

    def _going(self) -> list[Experiment]:
        return [x for x in self.shell.core.state.experiments.values() if not x.state.ended or x.active]

    def _peace(self) -> None:
        """One round in which all do what they should."""
        for experiment in self._going():
            if experiment.state is ExperimentState.PAUSED:
                self.shell.send(e.ResumeAsked(experiment=experiment.name))
        while (found := self._absent(0)) is not None:
            self.shell.came_up(*found)
        for agent in list(self.shell.agents.values()):
            if not agent.connected:
                self.shell.link(agent)
            while agent.inbox:
                agent.obey(agent.inbox.popleft())
            while agent.storing and agent.connected:
                self._store(agent)
            for attempt in list(agent.running):
                agent.as_told(attempt, 0.5, TOP)
            while self.shell.hear(agent):
                pass
        while self.shell.asked:
            self._answer(self.shell.now % 1)
        self.shell.send(e.Ticked(), after_s=5.0)


TestChaos = Chaos.TestCase
TestChaos.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
