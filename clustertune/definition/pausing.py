"""Whether a program can be paused where the scheduler pauses: found out by reading it, without running any of it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from clustertune.definition.algorithms import Registry
from clustertune.definition.command import program_of
from clustertune.definition.document import FieldPath
from clustertune.definition.experiment import ExperimentDefinition
from clustertune.model.errors import Mistake

_SAVES = ("new_checkpoint", "ClustertuneCallback", "CLUSTERTUNE_CHECKPOINTS")
"""What a program that can save a checkpoint says somewhere: the SDK's call, an integration, or the variable."""

_ANSWERS = ("should_checkpoint", "ClustertuneCallback", "CLUSTERTUNE_SAVE")
"""What one says that looks whether it is asked to."""

_MOST_FILES = 500
_MOST_BYTES = 1024 * 1024


def pausing_problems(
    definition: ExperimentDefinition, folder: Path, registry: Registry
) -> Iterator[tuple[FieldPath, str]]:
    """A program that cannot checkpoint under a scheduler that pauses, unless the definition says that it can."""
    told = definition.checkpoints.supported
    needless = told or not definition.resource.cumulative or not _pauses(definition, registry)
    if needless or (told is None and _mentions(_SAVES, definition, folder)):
        return
    scheduler, level = definition.scheduler.type, definition.resource.name
    what = "the program" if definition.run.call is None else definition.run.call
    message = (
        f"{scheduler} pauses trials and resumes them later, and {what} takes no checkpoints: each would begin again "
        f"from the first {level}. Have it call clustertune.new_checkpoint() (docs/guide/checkpoints.md), say "
        "checkpoints: {supported: true} where it takes them in a way that cannot be seen from here, "
        "or choose a scheduler that does not pause, such as asha"
    )
    yield ("scheduler",), message


def _pauses(definition: ExperimentDefinition, registry: Registry) -> bool:
    try:
        return registry.scheduler_pauses(definition.scheduler.type, definition.scheduler.options)
    except Mistake:
        return False  # said elsewhere


def saves_when_asked(definition: ExperimentDefinition, folder: Path) -> bool:
    """Whether a program that is to be paused should be asked to save first, as far as its source tells."""
    told = definition.checkpoints.supported
    return _mentions(_ANSWERS, definition, folder) if told is None else told


def _mentions(words: tuple[str, ...], definition: ExperimentDefinition, folder: Path) -> bool:
    waiting, seen = list(_entries(definition, folder)), set[Path]()
    while waiting and len(seen) < _MOST_FILES:
        path = waiting.pop()
        if path in seen or not path.is_file():
            continue
        seen.add(path)
        tree = _parse(path) if path.suffix == ".py" else None
        if tree is None:
            if any(word.encode() in _read(path) for word in words):
                return True
        elif any(word in words for word in _said(tree)):
            return True
        else:
            waiting += _imported(tree, path.parent, folder)
    return False


def _entries(definition: ExperimentDefinition, folder: Path) -> Iterator[Path]:
    """The callable's module, or the files that the command names."""
    if definition.run.call is not None:
        yield from _module_files(definition.run.call.partition(":")[0], folder)
    for word in _words(definition.run.command or ""):
        yield folder / word


def _imported(tree: ast.Module, *folders: Path) -> Iterator[Path]:
    """The files beside it that a module imports, wherever in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            names = [module, *(f"{module}.{alias.name}".strip(".") for alias in node.names)]
        else:
            continue
        for folder in folders:
            yield from (path for name in filter(None, names) for path in _module_files(name, folder))


def _module_files(module: str, folder: Path) -> Iterator[Path]:
    path = folder.joinpath(*module.split("."))
    yield from (path.with_name(f"{path.name}.py"), path / "__init__.py")


def _said(tree: ast.Module) -> Iterator[str]:
    """Names and texts of a program; what stands in its comments says nothing."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.alias(name=name):
                yield name
            case ast.Constant(value=str(text)):
                yield text


def _parse(path: Path) -> ast.Module | None:
    try:
        return ast.parse(_read(path))
    except (SyntaxError, ValueError, RecursionError):
        return None


def _words(command: str) -> list[str]:
    try:
        return program_of(command)
    except ValueError:  # what a shell alone can read
        return command.split()


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_MOST_BYTES)
    except OSError:
        return b""
