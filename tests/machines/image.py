"""What a machine of the tests is made of: its shell, its Pythons, its sshd, and how much its home can hold."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

USER = "ubuntu"
UID = 41000  # nobody's on the host, so that no process outside can be meant by accident
HOME = f"/home/{USER}"

OLD_PYTHON = "3.8.18"


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """``python``: ``host`` (the system's and those of the test run), ``old`` (one that says it is 3.8) or ``none``.

    ``sshd`` are lines for its sshd_config, before ours (the first that sets a thing wins). ``home_bytes`` bounds what
    the home holds, which is then gone when the machine is killed.
    """

    shell: str = "/bin/bash"
    python: str = "host"
    sftp: bool = True
    sshd: tuple[str, ...] = ()
    bashrc: str = ""
    home_bytes: int | None = None


def pythons_of_this_run() -> list[Path]:
    """The folders that an interpreter of the test run needs and that are not the system's."""
    folders = {Path(sys.prefix), Path(sys.base_prefix), Path(sys.executable).resolve().parent.parent}
    wanted = sorted(path for path in folders if not path.is_relative_to("/usr") or path.is_relative_to("/usr/local"))
    return [path for path in wanted if not any(path != other and path.is_relative_to(other) for other in wanted)]


def programs_without_python(folder: Path, there: str) -> None:
    """Fills ``folder`` with links to what the host has in /usr/bin, Pythons left out; it will be seen at ``there``."""
    folder.mkdir(exist_ok=True)
    for program in Path("/usr/bin").iterdir():
        link = folder / program.name
        if not program.name.startswith(("python", "pypy")) and not link.is_symlink():
            link.symlink_to(f"{there}/{program.name}")


def old_python(folder: Path, real: str) -> None:
    """A ``python3`` in ``folder`` that is the real one in all but the version that it tells."""
    script = folder / "python3"
    script.write_text(_OLD.format(real=real, version=OLD_PYTHON, parts=OLD_PYTHON.replace(".", ", ")))
    script.chmod(0o755)


_OLD = """#!{real} -I
import sys, collections
if sys.argv[1:2] in (["-V"], ["--version"]):
    print("Python {version}")
    sys.exit()
kind = collections.namedtuple("version_info", "major minor micro releaselevel serial")
sys.version_info, sys.version = kind({parts}, "final", 0), "{version} (default)"
arguments = [a for i, a in enumerate(sys.argv[1:]) if not (a.startswith("-") and a not in ("-", "-c", "-m") and i < 3)]
if arguments[:1] == ["-c"]:
    sys.argv = ["-c", *arguments[2:]]
    exec(arguments[1], {{"__name__": "__main__"}})
elif not arguments or arguments[0] == "-":
    sys.argv = ["-", *arguments[1:]]
    exec(sys.stdin.read(), {{"__name__": "__main__"}})
else:
    import runpy
    sys.argv = arguments
    runpy.run_path(arguments[0], run_name="__main__")
"""
