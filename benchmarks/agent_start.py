"""How long the agent file takes, with every Python found: until it knocks at the coordinator's door, and to look.

Run it with the environment that clustertune is installed in: ``python benchmarks/agent_start.py [TIMES]``.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from clustertune.provisioner.bootstrap.agent_file import agent_file

TIMES = 7
_NAMES = ("python3.10", "python3.11", "python3.12", "python3.13", "python3.14", "python3")
_PYENV = Path("~/.pyenv/versions").expanduser()


def pythons() -> Iterator[Path]:
    """Each once, those that are new enough."""
    named = [Path(found) for name in _NAMES if (found := shutil.which(name))]
    seen = set[str]()
    for path in [*sorted(_PYENV.glob("3.*/bin/python")), *named]:
        asked = "import sys; print(sys.version_info >= (3, 10), sys.version, sys.base_prefix)"
        done = subprocess.run([path, "-c", asked], capture_output=True, text=True, check=False)
        if done.stdout.startswith("True") and done.stdout not in seen:
            seen.add(done.stdout)
            yield path


def nothing(python: Path, root: Path) -> float:
    return _timed(lambda: subprocess.run([python, "-c", "pass"], check=True, cwd=root))


def look(python: Path, root: Path) -> float:
    command = [python, _file(root), "look", "--root", root / "r"]
    return _timed(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL))


def knock(python: Path, root: Path) -> float:
    """From the start of the process until it connects."""
    with socket.socket(socket.AF_UNIX) as door:
        path = root / "c.sock"
        path.unlink(missing_ok=True)
        door.bind(str(path))
        door.listen()
        enrolment = {"socket": str(path), "instance": "i", "epoch": 1, "token": "t"}
        began = time.perf_counter()
        agent = subprocess.Popen(
            [python, "-I", "-S", _file(root), "--folder", root / "agent"],
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert agent.stdin is not None
        agent.stdin.write(json.dumps(enrolment).encode())
        agent.stdin.close()
        door.accept()[0].close()
        took = time.perf_counter() - began
        agent.terminate()
        agent.wait()
    return took


def _timed(do: Callable[[], object]) -> float:
    began = time.perf_counter()
    do()
    return time.perf_counter() - began


def _file(root: Path) -> Path:
    path = root / "agent.pyz"
    if not path.exists():
        path.write_bytes(agent_file().data)
    return path


def measure(python: Path, times: int) -> tuple[str, ...]:
    columns: list[list[float]] = [[] for _ in range(5)]
    for _ in range(times):
        root = Path(tempfile.mkdtemp(prefix="ct-"))
        try:
            _file(root)
            columns[0].append(nothing(python, root))
            columns[1].append(knock(python, root))
            columns[2].append(knock(python, root))
            shutil.rmtree(next(root.glob("agent-*")))
            columns[3].append(look(python, root))
            columns[4].append(look(python, root))
        finally:
            shutil.rmtree(root)
    version = subprocess.run([python, "-V"], capture_output=True, text=True, check=True).stdout.split()[1]
    return version, *(f"{1e3 * statistics.median(column):.0f}" for column in columns)


def main() -> None:
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    times = int(sys.argv[1]) if len(sys.argv) > 1 else TIMES
    print(f"agent file: {len(agent_file().data) / 1e3:.0f} kB; medians of {times}, in ms")
    row = "{:10} {:>12} {:>14} {:>14} {:>12} {:>12}"
    print(row.format("Python", "-c pass", "agent, first", "agent, later", "look, first", "look, later"))
    for python in pythons():
        print(row.format(*measure(python, times)), flush=True)


if __name__ == "__main__":
    main()
