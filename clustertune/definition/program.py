"""Whether the program that a definition names is there, found out without running any of it."""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path

from clustertune.definition.algorithms import Registry
from clustertune.definition.command import has_placeholder, program_of
from clustertune.definition.document import FieldPath, join_path
from clustertune.definition.experiment import ExperimentDefinition
from clustertune.definition.pausing import pausing_problems
from clustertune.model.errors import Problem, suggestion

_CALLABLE = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_PYTHON = re.compile(r"python[0-9.]*")


def check_program(
    definition: ExperimentDefinition,
    workdir: Path | str,
    *,
    registry: Registry,
    beside: Path | None = None,
    told: Collection[str] = (),
    elsewhere: bool = False,
) -> list[Problem]:
    """Everything that would keep every trial from starting, with ``workdir`` as the folder that they run in.

    A relative ``python`` starts at the folder ``beside``, that of the definition's file; by default at ``workdir``.
    ``told`` are paths of fields (``run.call``) that something is wrong with already: nothing more is said of them.
    ``elsewhere``: trials run on other machines, and what is installed here says nothing of what is there.
    """
    folder = Path(workdir)
    found: list[tuple[FieldPath, str]] = []
    if not elsewhere:
        found = [(("python",), message) for message in interpreter_problem(definition.python, beside or folder)]
    if not folder.is_dir():
        found.append((("workdir",), f"there is no folder {folder}"))
    elif "workdir" not in told and "run" not in told:
        found += _run_problems(definition, folder, elsewhere=elsewhere)
        found += pausing_problems(definition, folder, registry)
    return [definition.origin.problem(path, message) for path, message in found if join_path(path) not in told]


def interpreter_problem(python: str | None, folder: Path) -> Iterator[str]:
    """What is wrong with an interpreter, if anything; a relative path starts at ``folder``."""
    if python is not None and python != "auto" and not _executable(python, folder, None):
        yield f"there is no program {python!r}; name an interpreter by its path"


def _run_problems(
    definition: ExperimentDefinition, folder: Path, *, elsewhere: bool
) -> Iterator[tuple[FieldPath, str]]:
    run = definition.run
    if run.call is not None:
        own_interpreter = not elsewhere and definition.python in (None, "auto")
        yield from _call_problems(run.call, folder, own_interpreter=own_interpreter)
    elif run.command is not None and not run.shell:
        yield from _command_problems(run.command, folder, definition.env.get("PATH"), elsewhere=elsewhere)


def _call_problems(call: str, folder: Path, *, own_interpreter: bool) -> Iterator[tuple[FieldPath, str]]:
    module, _, function = call.partition(":")
    file = _module_file(module, folder)
    if file is not None:
        yield from ((("run", "call"), message) for message in _function_problems(file, function))
    elif not _is_namespace(module, folder) and own_interpreter and not _is_installed(module):
        near = suggestion(module, _modules(folder))
        message = f"there is no module {module!r} in {folder.resolve()}, and no package of that name is installed{near}"
        yield ("run", "call"), message


def _module_file(module: str, folder: Path) -> Path | None:
    path = folder.joinpath(*module.split("."))
    candidates = (path.with_name(f"{path.name}.py"), path / "__init__.py")
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def _is_namespace(module: str, folder: Path) -> bool:
    """A folder without __init__.py, or a compiled module: what is in it cannot be read here."""
    path = folder.joinpath(*module.split("."))
    return path.is_dir() or any(path.parent.glob(f"{path.name}.*.so")) or any(path.parent.glob(f"{path.name}.so"))


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module.split(".", maxsplit=1)[0]) is not None
    except (ImportError, ValueError):
        return False


def _modules(folder: Path) -> list[str]:
    return [path.stem for path in folder.glob("*.py")]


def _function_problems(file: Path, function: str) -> Iterator[str]:
    try:
        tree = ast.parse(file.read_bytes(), filename=str(file))
    except (SyntaxError, ValueError, RecursionError) as error:
        line = getattr(error, "lineno", None)
        yield f"{file}{f':{line}' if line else ''} is not valid Python: {getattr(error, 'msg', error)}"
        return
    except OSError as error:
        yield f"{file} cannot be read: {error.strerror}"
        return
    names = set(_defined(tree.body))
    name = function.split(".", maxsplit=1)[0]
    if name not in names and "*" not in names and "__getattr__" not in names:
        own = [each.name for each in _statements(tree.body) if isinstance(each, _CALLABLE)]
        yield f"{file} defines no {name!r}{suggestion(name, own)}"


def _defined(body: list[ast.stmt]) -> Iterator[str]:
    """Names that a module's own statements bind; * for what an import of everything may bring."""
    for statement in _statements(body):
        if isinstance(statement, _CALLABLE):
            yield statement.name
        elif isinstance(statement, (ast.Import, ast.ImportFrom)):
            yield from ((alias.asname or alias.name).split(".")[0] for alias in statement.names)
        elif isinstance(statement, (ast.Assign, ast.AnnAssign)):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            yield from (node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name))


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """A module's own statements, those inside an if, try, with or loop too."""
    for statement in body:
        yield statement
        if not isinstance(statement, _CALLABLE):
            yield from _statements(_blocks(statement))


def _blocks(statement: ast.stmt) -> list[ast.stmt]:
    """The statements inside an if, try, with or loop."""
    inside = [*getattr(statement, "body", []), *getattr(statement, "orelse", []), *getattr(statement, "finalbody", [])]
    for handler in getattr(statement, "handlers", []):
        inside += handler.body
    return inside


def _command_problems(
    command: str, folder: Path, search: str | None, *, elsewhere: bool
) -> Iterator[tuple[FieldPath, str]]:
    words = program_of(command)
    if not words or has_placeholder(words[0]):
        return
    if _PYTHON.fullmatch(words[0]):
        yield from ((("run", "command"), message) for message in _script_problems(words[1:], folder))
    elif not elsewhere and not _executable(words[0], folder, search):
        yield ("run", "command"), f"there is no program {words[0]!r}{_program_hint(words[0], folder)}"


def _script_problems(words: list[str], folder: Path) -> Iterator[str]:
    """The script of a Python command, where it is plain which word that is."""
    script = words[0] if words else ""
    if script.endswith(".py") and not has_placeholder(script) and not (folder / script).is_file():
        near = suggestion(script, [path.name for path in folder.glob("*.py")])
        yield f"there is no file {script!r} in {folder.resolve()}{near}"


def _executable(program: str, folder: Path, search: str | None) -> bool:
    if os.sep in program:
        path = folder / Path(program).expanduser()
        return path.is_file() and os.access(path, os.X_OK)
    return shutil.which(program, path=search) is not None


def _program_hint(program: str, folder: Path) -> str:
    path = folder / program
    if path.is_file() and os.sep in program:
        return f"; the file is not executable: run chmod +x {program}"
    if path.is_file():
        return f"; for the file in the folder write ./{program}, or python {program}"
    return " in PATH; install it, or write its path" if os.sep not in program else f" in {folder.resolve()}"
