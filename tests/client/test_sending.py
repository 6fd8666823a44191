"""A program arrives whole at a real coordinator, whatever breaks on the way, and only what is missing travels."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from clustertune.client.coordinator import Coordinator
from clustertune.client.sending import Progress, send
from clustertune.client.workdir import Changed, Snapshot, take
from clustertune.model.errors import ClustertuneError, CoordinatorUnreachable, Mistake
from tests.client.test_walk import make

if TYPE_CHECKING:
    from tests.conftest import TestHome


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """Some small files, two alike, an empty one, and one of several parts."""
    root = make(tmp_path / "program", {f"lib/{n}.py": f"print({n})" for n in range(100)} | {"same": "a", "empty": ""})
    make(root, {"again": "a"})
    (root / "model.bin").write_bytes(os.urandom(70_000_000))
    return root


def kept(home: TestHome) -> set[str]:
    return {path.name for path in home.cluster.path.glob("workdirs/snapshots/parts/*")}


def is_whole(home: TestHome, snapshot: Snapshot) -> bool:
    folder = home.cluster.path / "workdirs" / "snapshots"
    manifest = folder / "manifests" / snapshot.digest
    return manifest.is_file() and kept(home) >= snapshot.manifest.parts.keys()


class Told:
    """Remembers what was told, and may do something at the first word of progress."""

    def __init__(self, at_first: Callable[[], object] = lambda: None) -> None:
        self.progress: list[Progress] = []
        self._at_first = at_first

    def __call__(self, progress: Progress) -> None:
        self.progress.append(progress)
        if progress.sent_bytes and self._at_first is not None:
            at_first, self._at_first = self._at_first, lambda: None
            at_first()


def test_all_of_it_arrives_and_the_progress_ends_with_all(program: Path, home: TestHome) -> None:
    snapshot, told = take(program), Told()
    send(snapshot, home.connect, told)
    assert is_whole(home, snapshot)
    assert kept(home) == snapshot.manifest.parts.keys()
    last = told.progress[-1]
    assert (last.files_sent, last.files) == (103, 103)  # the empty one has nothing to send
    assert last.sent_bytes == last.size_bytes == sum(snapshot.manifest.parts.values())
    sent = [each.sent_bytes for each in told.progress]
    assert sent == sorted(sent)


def test_the_second_time_only_what_changed_travels_and_nothing_is_told_where_nothing_did(
    program: Path, home: TestHome
) -> None:
    send(take(program), home.connect, Told())
    told = Told()
    send(take(program), home.connect, told)
    assert told.progress == []
    make(program, {"lib/7.py": "print('seven')", "new": "new"})
    changed = take(program)
    send(changed, home.connect, told)
    assert (told.progress[-1].files, told.progress[-1].size_bytes) == (2, 17)
    assert is_whole(home, changed)


def test_a_coordinator_that_dies_on_the_way_is_started_again_and_what_came_is_not_sent_again(
    program: Path, home: TestHome
) -> None:
    snapshot = take(program)
    told = Told(lambda: home.kill("clustertune.coordinator"))
    send(snapshot, home.connect, told)
    assert is_whole(home, snapshot)
    assert told.progress[-1].sent_bytes == told.progress[-1].size_bytes == sum(snapshot.manifest.parts.values())


class Cutter:
    """Between client and coordinator; cuts each connection after so many bytes, ``cuts`` times in all."""

    def __init__(self, port: int, *, after_bytes: int, cuts: int) -> None:
        self._port, self._after_bytes, self.cuts = port, after_bytes, cuts
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                thread = threading.Thread(target=self._carry, args=(client,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _carry(self, client: socket.socket) -> None:
        left = self._after_bytes
        with client, socket.create_connection(("127.0.0.1", self._port)) as server, contextlib.suppress(OSError):
            while True:
                for ready in select.select([client, server], [], [])[0]:
                    data = ready.recv(65536)
                    if not data:
                        return
                    (server if ready is client else client).sendall(data)
                    left -= len(data)
                    if left < 0 and self.cuts > 0:
                        self.cuts -= 1
                        return

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(10)


@pytest.fixture
def cutting(home: TestHome) -> Iterator[Callable[[int, int], tuple[Cutter, Callable[[], Coordinator]]]]:
    made: list[Cutter] = []
    with home.connect() as coordinator:
        port = coordinator.port

    def make_cutter(after_bytes: int, cuts: int) -> tuple[Cutter, Callable[[], Coordinator]]:
        made.append(Cutter(port, after_bytes=after_bytes, cuts=cuts))
        return made[-1], lambda: Coordinator(made[-1].port, home.cluster.token())

    yield make_cutter
    for cutter in made:
        cutter.close()


Cutting = Callable[[int, int], tuple[Cutter, Callable[[], Coordinator]]]


def test_connections_that_break_again_and_again_are_made_anew(program: Path, home: TestHome, cutting: Cutting) -> None:
    snapshot = take(program)
    cutter, connect = cutting(20_000_000, 6)
    send(snapshot, connect, Told())
    assert cutter.cuts == 0
    assert is_whole(home, snapshot)


def test_one_that_always_breaks_is_given_up_and_leaves_nothing_half(
    program: Path, home: TestHome, cutting: Cutting
) -> None:
    snapshot = take(program)
    _, connect = cutting(100, 10_000)
    with pytest.raises(CoordinatorUnreachable):
        send(snapshot, connect, Told())
    assert not is_whole(home, snapshot)
    for digest in kept(home):
        assert digest in snapshot.manifest.parts


def test_a_file_that_changes_on_the_way_is_named_and_nothing_wrong_arrives(program: Path, home: TestHome) -> None:
    snapshot = take(program)
    with (program / "model.bin").open("r+b") as file:
        file.seek(69_999_999)
        last = file.read(1)
        file.seek(69_999_999)
        file.write(b"a" if last != b"a" else b"b")
    with pytest.raises(Changed, match=r"model\.bin changed after it was read"):
        send(snapshot, home.connect, Told())
    assert snapshot.manifest.files[-2].path == "model.bin"
    assert snapshot.manifest.files[-2].parts[-1].digest not in kept(home)
    again = take(program)
    send(again, home.connect, Told())
    assert is_whole(home, again)


def test_what_the_coordinator_refuses_is_not_tried_again(program: Path, home: TestHome) -> None:
    snapshot = take(program)
    wrong = Coordinator(home.connect().port, "x" * 64)
    with pytest.raises(Mistake, match="token"):
        send(snapshot, lambda: wrong, Told())


def test_a_full_disk_at_the_coordinator_is_told(program: Path, home: TestHome) -> None:
    import resource

    home.connect().close()
    (process,) = home.processes("clustertune.coordinator")
    before = resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (1_000_000, resource.RLIM_INFINITY))
    with pytest.raises(ClustertuneError, match="no room for the program that was sent"):
        send(take(program), home.connect, Told())
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, before)
    snapshot = take(program)
    send(snapshot, home.connect, Told())
    assert is_whole(home, snapshot)


SENDER = """
import sys
from pathlib import Path
from clustertune.client.home import Home
from clustertune.client.nearby import connect
from clustertune.client.sending import send
from clustertune.client.workdir import take

def told(progress):
    if progress.sent_bytes:
        print("begun", flush=True)

folder = Home(Path(sys.argv[2])).cluster("local")
try:
    send(take(Path(sys.argv[1])), lambda: connect(folder), told)
except KeyboardInterrupt:
    print("interrupted", flush=True)
    sys.exit(130)
"""


def test_ctrl_c_ends_it_at_once_and_the_next_time_it_goes_on(program: Path, home: TestHome) -> None:
    home.connect().close()
    (program / "more.bin").write_bytes(os.urandom(1000) * 300_000)
    sender = subprocess.Popen(
        [sys.executable, "-c", SENDER, str(program), str(home.path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    assert sender.stdout is not None
    assert sender.stdout.readline() == "begun\n"
    sender.send_signal(signal.SIGINT)
    out, error = sender.communicate(timeout=30)
    snapshot = take(program)
    came = kept(home)
    assert (sender.returncode, out.splitlines()[-1], error) == (130, "interrupted", "")
    assert not is_whole(home, snapshot)
    assert came
    told = Told()
    send(snapshot, home.connect, told)
    assert is_whole(home, snapshot)
    assert told.progress[-1].size_bytes < sum(snapshot.manifest.parts.values())
    assert kept(home) == snapshot.manifest.parts.keys()
