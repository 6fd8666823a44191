"""What clients ask of a coordinator, answered once it is on disk."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import replace

from clustertune.coordinator.coordinator import Coordinator
from clustertune.coordinator.core import events as e
from clustertune.coordinator.core.snapshots import best_trial, instance_rows, row, summary
from clustertune.coordinator.core.state import Experiment
from clustertune.model.errors import JournalFull, Mistake, NoSuchName
from clustertune.model.snapshot import BestTrial, ClusterSnapshot, ExperimentSnapshot, Submission, TrialRow
from clustertune.model.trial import ExperimentState


class Answers:
    """Every method that changes something raises JournalFull when the disk refuses it."""

    def __init__(self, coordinator: Coordinator) -> None:
        self._coordinator = coordinator

    def experiment(self, name: str) -> Experiment:
        """Raises NoSuchName."""
        self._coordinator.touch()
        found = self._coordinator.core.state.experiments.get(name)
        if found is None:
            raise NoSuchName("experiment", name, self._coordinator.core.state.experiments)
        return found

    async def submit(self, submission: Submission, name: str) -> str:
        """Begins an experiment under the first free one of name, name-2, name-3 … and answers which.

        Raises Mistake where its warm start names an experiment that there is not.
        """
        self._coordinator.touch()
        self._check_earlier(submission.definition.get("warm_start"))
        free, number = name, 1
        # A folder that stands there holds somebody's results, whatever the journal knows of them.
        while free in self._coordinator.core.state.experiments or self._coordinator.places.experiment(free).exists():
            number += 1
            free = f"{name}-{number}"
        self._coordinator.keep_secrets(free, submission.secrets)
        self._coordinator.handle(
            e.Submitted(
                experiment=free,
                definition=submission.definition,
                workdir=submission.workdir,
                python=submission.python,
                snapshot=submission.snapshot,
            )
        )
        await self._coordinator.committed()
        return free

    def _check_earlier(self, names: object) -> None:
        known = self._coordinator.core.state.experiments
        wanted = map(str, names) if isinstance(names, list) else ()
        if unknown := [str(NoSuchName("experiment", name, known)) for name in wanted if name not in known]:
            raise Mistake(f"warm_start: {'; '.join(unknown)}")

    async def up(self) -> None:
        """Brings the machines up, before there is anything to run."""
        self._coordinator.touch()
        self._coordinator.handle(e.UpAsked())
        await self._coordinator.committed()

    async def down(self) -> dict[str, str]:
        """Ends all machines; answers which could not be ended, and why. Raises Mistake while an experiment runs."""
        self._coordinator.touch()
        if running := [experiment.name for experiment in self._coordinator.core.state.running()]:
            raise Mistake(f"{', '.join(running)} is running; `clustertune pause {running[0]}` first")
        self._coordinator.handle(e.DownAsked())
        await self._coordinator.committed()
        await self._coordinator.machines.settled()
        return dict(self._coordinator.machines.unended)

    async def ask(self, event: e.PauseAsked | e.ResumeAsked | e.StopAsked, secrets: Mapping[str, str]) -> None:
        if secrets:
            self._coordinator.keep_secrets(event.experiment, secrets)
        self._coordinator.handle(event)
        await self._coordinator.committed()

    async def snapshot(self, name: str, after: int = 0) -> ExperimentSnapshot:
        """Waits for the journal only while it is well: a view must also show that it is not.

        Who hears that an experiment has ended finds its files complete.
        """
        experiment = self.experiment(name)
        with contextlib.suppress(JournalFull):
            await self._coordinator.committed()
            if experiment.state is not ExperimentState.RUNNING and not experiment.active:
                await self._coordinator.results.settle(name)
        return self._coordinator.view(experiment, after)

    def best(self, name: str, trial: int | None = None) -> BestTrial:
        """The best, or the one of that number. Raises NoSuchName for an experiment, Mistake where there is none yet."""
        return best_trial(self._coordinator.core, self.experiment(name), trial)

    def rows(self, name: str, offset: int, limit: int) -> list[TrialRow]:
        experiment, now = self.experiment(name), self._coordinator.now()
        return [row(experiment, trial, now) for trial in experiment.trials[offset : offset + limit]]

    def cluster_snapshot(self, *, version: str, protocol: int, pid: int) -> ClusterSnapshot:
        whole = self._coordinator
        whole.touch()
        state, now = whole.core.state, whole.now()
        return ClusterSnapshot(
            cluster=whole.cluster.name,
            provider=whole.cluster.provider,
            version=version,
            protocol=protocol,
            pid=pid,
            uptime_s=whole.uptime_s(),
            experiments=tuple(summary(x, cluster=whole.cluster.name, now=now) for x in state.experiments.values()),
            instances=tuple(
                replace(row, doing=whole.machines.doing.get(row.instance, "")) for row in instance_rows(whole.core)
            ),
            problem=whole.journal.problem or whole.core.fleet.problem,
        )
