"""The cluster that an experiment is to run on: read and checked first, written down once all else is right."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from clustertune.cli.places import known
from clustertune.cli.printing import warn
from clustertune.client.home import DEFAULT_CLUSTER, ClusterFolder, Home
from clustertune.client.nearby import default_definition, running
from clustertune.model.errors import DefinitionMistake, Mistake, NoSuchName, Problem
from clustertune.model.trial import ExperimentState

if TYPE_CHECKING:
    from clustertune.definition import ClusterDefinition


@dataclass(frozen=True)
class ClusterChoice:
    """What ``--cluster`` names; ``plain`` is what its folder is to hold.

    ``definition`` is None where there is nothing to read; ``problems`` say why.
    """

    definition: ClusterDefinition | None
    problems: tuple[Problem, ...] = ()
    plain: Mapping[str, object] = field(default_factory=dict)

    @property
    def elsewhere(self) -> bool:
        """Whether programs have to be sent to its machines; not where it is unclear which they are."""
        unclear = any(problem.path == "provider" for problem in self.problems)
        return self.definition is not None and self.definition.elsewhere and not unclear

    @property
    def workdir(self) -> str:
        """The folder that is sent there."""
        return "." if self.definition is None else self.definition.workdir

    def settle(self) -> ClusterFolder:
        """Its folder, with the definition in it. Raises Mistake where an experiment runs under a former one."""
        if self.definition is None or self.problems:
            raise DefinitionMistake(self.problems)
        folder = Home.from_environment().cluster(self.definition.name)
        if folder.stored_definition() != self.plain:
            _end_coordinator_of_former_definition(folder)
            folder.store_definition(self.plain)
        return folder


def choose_cluster(given: str | None) -> ClusterChoice:
    """The cluster of ``--cluster NAME|FILE``, by default this machine. Nothing is written or started."""
    home = Home.from_environment()
    home.check()
    if given is not None and (Path(given).suffix in (".yaml", ".yml", ".json") or "/" in given):
        return _from_file(Path(given))
    try:
        return _stored(home, given or DEFAULT_CLUSTER)
    except NoSuchName as mistake:
        return ClusterChoice(None, (Problem(str(mistake), file="--cluster"),))


def _stored(home: Home, name: str) -> ClusterChoice:
    """Raises NoSuchName; the default cluster need not be defined."""
    from clustertune.definition.cluster import ClusterDefinition
    from clustertune.definition.document import Document
    from clustertune.definition.origin import Origin

    folder = home.cluster(name) if name == DEFAULT_CLUSTER else known(home, name)
    plain = folder.stored_definition() or default_definition(name)
    try:
        definition = ClusterDefinition.from_plain(plain)
    except DefinitionMistake as mistake:
        return ClusterChoice(None, tuple(replace(each, file=str(folder.definition)) for each in mistake.problems))
    origin = Origin(Document(tree=dict(plain), file=str(folder.definition)))
    return ClusterChoice(definition.from_origin(origin), plain=plain)


def _from_file(path: Path) -> ClusterChoice:
    from clustertune.definition import inspect_cluster
    from clustertune.definition.providers import with_paths_from

    try:
        inspected = inspect_cluster(path)
    except DefinitionMistake as mistake:
        return ClusterChoice(None, mistake.problems)
    definition = inspected.definition
    if definition.python is not None and "/" in definition.python and not definition.elsewhere:
        # Its reader will be elsewhere. Symbolic links stay: an environment is found through them.
        python = str((path.parent / definition.python).absolute())
        definition = definition.model_copy(update={"python": python}).from_origin(definition.origin)
    options = with_paths_from(path.parent, definition.options)
    definition = definition.model_copy(update={"options": options}).from_origin(definition.origin)
    return ClusterChoice(definition, inspected.problems, definition.to_plain())


def _end_coordinator_of_former_definition(folder: ClusterFolder) -> None:
    coordinator = running(folder)
    if coordinator is None:
        return
    busy = [one.name for one in coordinator.cluster().experiments if one.state is ExperimentState.RUNNING]
    if busy:
        raise Mistake(
            f"the cluster {folder.name!r} is running {', '.join(busy)} with another definition; "
            f"`clustertune pause {busy[0]}` or wait, then try again, or give the changed cluster another name"
        )
    warn(f"the definition of cluster {folder.name!r} has changed; starting its coordinator anew")
    coordinator.shutdown(stop_agents=True)
