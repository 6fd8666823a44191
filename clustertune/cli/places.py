"""Which cluster, and which experiment, a command is about."""

from __future__ import annotations

from dataclasses import dataclass

from clustertune.client.coordinator import Coordinator
from clustertune.client.home import ClusterFolder, Home
from clustertune.client.nearby import connect
from clustertune.model.errors import Mistake, NoSuchName
from clustertune.model.snapshot import ClusterSnapshot, ExperimentSummary
from clustertune.model.trial import ExperimentState


@dataclass(frozen=True)
class Found:
    """An experiment, and the coordinator that owns it."""

    name: str
    folder: ClusterFolder
    coordinator: Coordinator


@dataclass(frozen=True)
class Cluster:
    """A cluster whose coordinator has just answered."""

    folder: ClusterFolder
    coordinator: Coordinator
    snapshot: ClusterSnapshot


def clusters(given: str | None) -> list[Cluster]:
    """The clusters to look in: the named one, or all. Starts coordinators where none answers."""
    home = Home.from_environment()
    home.check()
    folders = home.clusters() if given is None else (known(home, given),)
    return [_answering(folder) for folder in folders]


def find(name: str | None, cluster: str | None) -> Found:
    """The experiment called ``name``, or the only one that runs or exists.

    Raises NoSuchName with the nearest, and Mistake where it is not clear which one is meant.
    """
    searched = clusters(cluster)
    pairs = [(place, summary) for place in searched for summary in place.snapshot.experiments]
    place, summary = _only(pairs) if name is None else _named(pairs, name)
    return Found(summary.name, place.folder, place.coordinator)


def _named(pairs: list[tuple[Cluster, ExperimentSummary]], name: str) -> tuple[Cluster, ExperimentSummary]:
    matching = [pair for pair in pairs if pair[1].name == name]
    if not matching:
        raise NoSuchName("experiment", name, {summary.name for _, summary in pairs})
    if len(matching) > 1:
        places = " and ".join(place.folder.name for place, _ in matching)
        raise Mistake(f"{name!r} is in the clusters {places}; say which with --cluster")
    return matching[0]


def _only(pairs: list[tuple[Cluster, ExperimentSummary]]) -> tuple[Cluster, ExperimentSummary]:
    if not pairs:
        raise Mistake("there are no experiments yet; begin with `clustertune init`")
    live = [pair for pair in pairs if pair[1].state is ExperimentState.RUNNING] or pairs
    if len(live) > 1:
        said = "none of the experiments is running" if live is pairs else f"{len(live)} experiments are running"
        names = ", ".join(sorted(summary.name for _, summary in live)[:12])
        raise Mistake(f"{said}; name one of them: {names}")
    return live[0]


def _answering(folder: ClusterFolder) -> Cluster:
    coordinator = connect(folder)
    return Cluster(folder, coordinator, coordinator.cluster())


def known(home: Home, name: str) -> ClusterFolder:
    folder = home.cluster(name)
    if folder not in home.clusters():
        raise NoSuchName("cluster", name, (known.name for known in home.clusters()))
    return folder
