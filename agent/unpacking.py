"""Lays the agent file out beside itself once, so that Python keeps its bytecode, and goes on from there."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # typing itself, and all else, is imported where nothing can stand in for it any more
if TYPE_CHECKING:
    from pathlib import Path


def run(digest: str, names: tuple[str, ...]) -> None:
    """Never returns. ``digest`` tells this agent file from others; ``names`` are of all that is in it."""
    _be_alone()
    from pathlib import Path

    archive = Path(sys.path[0])
    sys.path[0] = str(archive if archive.is_dir() else _unpacked(archive, digest, names))
    del sys.modules[__name__]
    _leave_out_the_trials_side()
    from clustertune.agent.verbs import main

    sys.exit(main(sys.argv[1:]))


def _leave_out_the_trials_side() -> None:
    """Which the package's own module imports, at every start, and no agent needs."""
    from importlib.machinery import PathFinder
    from importlib.util import module_from_spec

    if (spec := PathFinder.find_spec("clustertune")) is not None:
        sys.modules["clustertune"] = module_from_spec(spec)


def _be_alone() -> None:
    """Neither the environment nor what is installed has a say in what is imported, and how names of files are read."""
    if sys.getfilesystemencoding() != "utf-8":
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])  # noqa: S606 - ourselves
    named = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    sys.path[1:] = [
        path for path in sys.path[1:] if path not in named and not path.endswith(("site-packages", "dist-packages"))
    ]
    sys.dont_write_bytecode, sys.pycache_prefix = False, None


def _unpacked(archive: Path, digest: str, names: tuple[str, ...]) -> Path:
    """The archive itself where nothing can be written beside it."""
    folder = archive.with_name(f"{archive.name.removesuffix('.pyz')}-{digest}")
    try:
        if not folder.is_dir():
            _unpack(archive, names, folder)
        found = folder.lstat()
    except OSError:
        return archive
    is_ours = found.st_uid == os.getuid() and not found.st_mode & 0o022
    return folder if is_ours and not folder.is_symlink() else archive


def _unpack(archive: Path, names: tuple[str, ...], folder: Path) -> None:
    """Whole or not at all; another process may be doing the same. Raises OSError."""
    part = folder.with_name(f".{folder.name}.{os.getpid()}")
    try:
        _write(archive, names, part)
        part.rename(folder)
    except OSError:
        import shutil

        shutil.rmtree(part, ignore_errors=True)
        if not folder.is_dir():
            raise


def _write(archive: Path, names: tuple[str, ...], part: Path) -> None:
    from zipimport import zipimporter  # which is loaded already, unlike zipfile and all that comes with it

    packed, before = zipimporter(str(archive)), os.umask(0o077)
    try:
        for folder in sorted({str((part / name).parent) for name in names}):
            os.makedirs(folder, exist_ok=True)  # noqa: PTH103 - what pathlib costs is paid for each file here
        for name in names:
            with open(f"{part}/{name}", "wb") as file:
                file.write(packed.get_data(f"{archive}{os.sep}{name.replace('/', os.sep)}"))
    finally:
        os.umask(before)
