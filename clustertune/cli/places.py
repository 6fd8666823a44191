"""Which cluster, and which experiment, a command is about."""

from __future__ import annotations

from dataclasses import dataclass

from clustertune.cli.printing import warn
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


@dataclass(frozen=True)
class Choosing:
    """Which experiment a command without a name means.

    The only one in the first of the groups of states that holds any; where none does, the newest of all or none.
    ``done`` is what the command does to it, for its errors.
    """

    done: str
    among: tuple[frozenset[ExperimentState], ...]
    else_newest: bool = False


_RUNNING, _PAUSED = frozenset({ExperimentState.RUNNING}), frozenset({ExperimentState.PAUSED})
TO_LOOK_AT = Choosing("looked at", (_RUNNING,), else_newest=True)
TO_PAUSE = Choosing("paused", (_RUNNING, _PAUSED))
TO_STOP = Choosing("stopped", (_RUNNING | _PAUSED,))
TO_RESUME = Choosing("resumed", (_PAUSED, _RUNNING))
MOST_LISTED = 12

Pair = tuple[Cluster, ExperimentSummary]


def clusters(given: str | None) -> list[Cluster]:
    """The clusters to look in: the named one, or all. Starts coordinators where none answers."""
    home = Home.from_environment()
    home.check()
    folders = home.clusters() if given is None else (known(home, given),)
    return [_answering(folder) for folder in folders]


def find(name: str | None, cluster: str | None, choosing: Choosing) -> Found:
    """The experiment called ``name``, or the one that a command without a name means.

    Raises NoSuchName with the nearest, and Mistake with the candidates where it is not clear which one is meant.
    """
    searched = clusters(cluster)
    pairs = [(place, summary) for place in searched for summary in place.snapshot.experiments]
    place, summary = _chosen(pairs, choosing) if name is None else _named(pairs, name)
    return Found(summary.name, place.folder, place.coordinator)


def _named(pairs: list[Pair], name: str) -> Pair:
    matching = [pair for pair in pairs if pair[1].name == name]
    if not matching:
        raise NoSuchName("experiment", name, {summary.name for _, summary in pairs})
    if len(matching) > 1:
        places = " and ".join(place.folder.name for place, _ in matching)
        raise Mistake(f"{name!r} is in the clusters {places}; say which with --cluster")
    return matching[0]


def _chosen(pairs: list[Pair], choosing: Choosing) -> Pair:
    if not pairs:
        raise Mistake("there are no experiments yet; begin with `clustertune init`")
    if len(pairs) == 1:
        return pairs[0]
    for states in choosing.among:
        fitting = [pair for pair in pairs if pair[1].state in states]
        if len(fitting) == 1:
            return fitting[0]
        if fitting:
            raise Mistake(f"{len(fitting)} experiments can be {choosing.done}; name one of them: {_listed(fitting)}")
    if not choosing.else_newest:
        raise Mistake(f"no experiment can be {choosing.done}; there are: {_listed(pairs)}")
    newest = max(pairs, key=lambda pair: pair[1].created)
    warn(f"{newest[1].name}, the newest of {len(pairs)} experiments:")
    return newest


def _listed(pairs: list[Pair]) -> str:
    """Newest first."""
    ordered = sorted(pairs, key=lambda pair: -pair[1].created)
    names = [f"{summary.name} ({summary.state.value})" for _, summary in ordered[:MOST_LISTED]]
    return ", ".join(names) + (", …" if len(pairs) > MOST_LISTED else "")


def _answering(folder: ClusterFolder) -> Cluster:
    coordinator = connect(folder)
    return Cluster(folder, coordinator, coordinator.cluster())


def known(home: Home, name: str) -> ClusterFolder:
    folder = home.cluster(name)
    if folder not in home.clusters():
        raise NoSuchName("cluster", name, (known.name for known in home.clusters()))
    return folder
