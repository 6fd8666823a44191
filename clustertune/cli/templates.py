"""Templates: what there is, and copying one."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

from clustertune.cli.printing import print_json
from clustertune.cli.program import program
from clustertune.model.errors import Mistake, NoSuchName

SUGGESTED = "digits"


def available() -> dict[str, str]:
    """Each template's name and what it is, in one line (the first of its README after the title)."""
    found = {}
    for readme in sorted(_folder().glob("*/README.md")):
        lines = [line for line in readme.read_text("utf-8").splitlines() if line and not line.startswith("#")]
        found[readme.parent.name] = lines[0]
    return found


def print_list(*, as_json: bool) -> None:
    if as_json:
        print_json(available())
        return
    width = max(map(len, available()))
    for name, meaning in available().items():
        print(f"{name:<{width}}  {meaning}")
    print(f"\ncopy one with: {program()} init {SUGGESTED}")


def copy(name: str, target: Path, *, force: bool, as_json: bool) -> None:
    """Raises Mistake rather than overwrite anything, unless ``force``; nothing is written then."""
    if name not in available():
        raise NoSuchName("template", name, available())
    files = _files(_folder() / name)
    if target.exists() and not target.is_dir():
        raise Mistake(f"{target} is a file; name a folder, as in `{program()} init {name} DIR`")
    in_the_way = [target / file for file in files if (target / file).exists()]
    if in_the_way and not force:
        raise Mistake(f"{', '.join(map(str, in_the_way))} would be overwritten; name another folder, or add --force")
    _write(_folder() / name, files, target)
    _report(target, files, as_json=as_json)


def _write(source: Path, files: list[Path], target: Path) -> None:
    try:
        for file in files:
            (target / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / file, target / file)
    except OSError as error:
        raise Mistake(f"cannot write {error.filename or target}: {error.strerror}") from error


def _report(target: Path, files: list[Path], *, as_json: bool) -> None:
    if as_json:
        print_json({"folder": str(target), "files": [str(file) for file in files]})
        return
    print("\n".join(f"wrote {target / file}" for file in files))
    print(f"\nnext: {program()} tune {shlex.quote(str(target / 'experiment.yaml'))}")


def _files(folder: Path) -> list[Path]:
    found = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return sorted(path.relative_to(folder) for path in found)


def _folder() -> Path:
    import clustertune.templates

    return Path(clustertune.templates.__path__[0])
