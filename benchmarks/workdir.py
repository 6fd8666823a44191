"""What it costs to take a program along: a first and a second snapshot, beside git, tar and rsync on the same files.

``python workdir.py`` prints two tables of seconds, and of how many times as long each takes as our own. ``many`` are
10,000 files of 2 KB, ``large`` is 500 MB in five. Sending goes to a coordinator of its own on this machine.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from clustertune.client.home import ClusterFolder, Home
from clustertune.client.nearby import connect
from clustertune.client.sending import send
from clustertune.client.workdir import Snapshot, take

ROUNDS = 3
SHAPES = {"many": (10_000, 2_000), "large": (5, 100_000_000)}
_SURE_S = 2.5
"""What was written within the grain of file times is read again: the second snapshot waits for that to pass."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of it: to see that it works, not for figures")
    quick = parser.parse_args().quick
    for name, (files, size_bytes) in SHAPES.items():
        count, size = (
            (files // 10, size_bytes) if name == "many" and quick else (files, size_bytes // (10 if quick else 1))
        )
        taken = [measure(count, size) for _ in range(1 if quick else ROUNDS)]
        print(f"\n{name}: {count:,} files of {size:,} bytes")
        print(f"{'':24} {'first':>9} {'second':>9} {'first':>9} {'second':>9}")
        own: tuple[float, float] | None = None
        for who in taken[0]:
            first, second = (statistics.median(one[who][turn] for one in taken) for turn in (0, 1))
            base = own = own or (first, second)
            if who.startswith("send"):
                base = own = (first, second)
            ratios = f"{first / base[0]:8.2f}x {second / base[1]:8.2f}x"
            print(f"{who:24} {first:8.3f}s {second:8.3f}s {ratios}")


def measure(files: int, size_bytes: int) -> dict[str, tuple[float, float]]:
    """Seconds of the first and the second time, by who; what follows ``send`` brings it to another place."""
    with tempfile.TemporaryDirectory(prefix="clustertune-workdir-") as name, home(Path(name)) as folder:
        root, memory = Path(name) / "program", Path(name) / "memory.json"
        make(root, files, size_bytes)
        time.sleep(_SURE_S)
        found = {"snapshot": twice(lambda: take(root, remembered=memory))}
        found["git add"] = twice(lambda: git_add(root, Path(name) / "git"))
        snapshot = take(root, remembered=memory)
        connect(folder).close()
        found["send"] = twice(lambda: send_to(snapshot, folder))
        found["tar | tar"] = twice(lambda: tar(root, Path(name) / "tarred"))
        if shutil.which("rsync"):
            found["rsync -a"] = twice(lambda: run("rsync", "-a", f"{root}/", f"{Path(name) / 'rsynced'}/"))
    return found


def make(root: Path, files: int, size_bytes: int) -> None:
    """Nothing of it compresses, and no two are alike."""
    for number in range(files):
        folder = root / f"folder{number // 100}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"file{number}").write_bytes(os.urandom(size_bytes))


def twice(work: Callable[[], object]) -> tuple[float, float]:
    seconds = []
    for _ in range(2):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return seconds[0], seconds[1]


def send_to(snapshot: Snapshot, folder: ClusterFolder) -> None:
    send(snapshot, lambda: connect(folder), lambda _: None)


def git_add(root: Path, repository: Path) -> None:
    if not repository.exists():
        run("git", "init", "-q", str(repository))
    run("git", f"--git-dir={repository / '.git'}", f"--work-tree={root}", "-c", "core.compression=0", "add", "-A")


def tar(root: Path, to: Path) -> None:
    """It knows nothing of what is there: everything goes each time."""
    to.mkdir(exist_ok=True)
    packing = subprocess.Popen(["tar", "-C", str(root), "-cf", "-", "."], stdout=subprocess.PIPE)
    subprocess.run(["tar", "-C", str(to), "-xf", "-"], stdin=packing.stdout, check=True)
    packing.communicate()


def run(*command: str) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


@contextlib.contextmanager
def home(path: Path) -> Iterator[ClusterFolder]:
    """A cluster whose coordinator ends with it."""
    folder = Home(path / "home").cluster("local")
    try:
        yield folder
    finally:
        record = folder.record()
        with connect(folder) as coordinator:
            coordinator.shutdown()
        while record is not None and Path(f"/proc/{record.pid}").exists() and not is_zombie(record.pid):
            time.sleep(0.02)


def is_zombie(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    return True


if __name__ == "__main__":
    main()
