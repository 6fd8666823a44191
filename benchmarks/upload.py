"""How much of what a store takes from the quickest plain client the agent's uploader reaches.

``python upload.py KIND MEGABYTES`` prints its figures as one line of JSON. KIND: ``sink`` (an HTTP server on loopback
that discards) or ``files`` (our own files server, which checks every byte and syncs it to disk).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from clustertune.agent.contents import read_contents
from clustertune.agent.enrolment import Enrolment
from clustertune.agent.outbox import Outbox
from clustertune.agent.shelf import Shelf
from clustertune.agent.transfer import AT_ONCE, Uploads
from clustertune.agent.wire import Wire
from clustertune.model.checkpoint import PART_BYTES

ROUNDS = 3
_STORES = Path(__file__).with_name("stores.py")
_BLOCK_BYTES = 1024 * 1024


def measure(kind: str, size_bytes: int) -> Mapping[str, float]:
    """Both in turn, so that what else the machine does falls on both; medians."""
    ours, plain = [], []
    with tempfile.TemporaryDirectory(prefix="clustertune-upload-") as name, _store(kind, Path(name)) as path:
        folder = Path(name)
        make_checkpoint(folder / "saved", size_bytes)
        for number in range(ROUNDS):
            plain.append(size_bytes / with_plain_client(folder, path, f"plain{number}"))
            _forget(folder)
            ours.append(size_bytes / asyncio.run(with_the_uploader(folder, path, f"ours{number}")))
            _forget(folder)
    reached, possible = statistics.median(ours), statistics.median(plain)
    return {"share": 100 * reached / possible, "mb_per_s": reached / 1e6, "plain_mb_per_s": possible / 1e6}


def make_checkpoint(folder: Path, size_bytes: int) -> None:
    """Two files that do not compress and have no equal parts."""
    folder.mkdir()
    for name in ("model.bin", "optimizer.bin"):
        with (folder / name).open("wb") as file:
            for _ in range(size_bytes // 2 // _BLOCK_BYTES):
                file.write(os.urandom(_BLOCK_BYTES))


async def with_the_uploader(folder: Path, path: Path, experiment: str) -> float:
    """Seconds from the order to store to the last answer."""
    enrolment = Enrolment(socket="", instance="here-1", epoch=1, token="any", files=str(path))
    attempt, outbox = f"{experiment}:0:1", Outbox(folder / f"outbox-{experiment}")
    shelf = Shelf(folder / "shelf", 1)
    wire = Wire(enrolment)
    shutil.copytree(folder / "saved", folder / "copy", copy_function=os.link)
    within = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        kept = shelf.place(attempt, "checkpoint", 1, "copy", within)
    finally:
        os.close(within)
    await shelf.read(kept)
    over = asyncio.Event()
    uploads = Uploads(wire, shelf, outbox, over.set)  # which is called where there is trouble
    began = time.monotonic()
    uploads.store(attempt, kept.digest)
    while uploads.busy and not over.is_set():
        await asyncio.sleep(0.002)
    taken_s = time.monotonic() - began
    if over.is_set():
        raise SystemExit("the uploader met trouble")
    uploads.close()
    shelf.drop(kept)
    shelf.stopper.stop()
    shutil.rmtree(folder / "shelf")
    return taken_s


def with_plain_client(folder: Path, path: Path, experiment: str) -> float:
    """The same requests with nothing around them: parts go from file to socket inside the kernel, four at once."""
    contents = read_contents(folder / "saved", lambda: None)
    places = {
        part.digest: (folder / "saved" / file.path, number * PART_BYTES, part.size_bytes)
        for file in contents.manifest.files
        for number, part in enumerate(file.parts)
    }
    base = f"/v1/attempts/{experiment}:0:1/checkpoints"
    encoded = contents.manifest.encode()
    began = time.monotonic()
    missing = _ask(path, "POST", base, encoded)["missing"]
    with ThreadPoolExecutor(AT_ONCE) as threads:
        list(threads.map(lambda lot: _send(path, lot, places), [missing[n::AT_ONCE] for n in range(AT_ONCE)]))
    _ask(path, "POST", f"{base}/{contents.digest}/whole", b"")
    return time.monotonic() - began


def _send(path: Path, parts: list[Mapping[str, Any]], places: Mapping[str, tuple[Path, int, int]]) -> None:
    connection: HTTPConnection | None = None
    for part in parts:
        file, offset, size = places[part["digest"]]
        connection = connection or _connection(path, part["url"])
        where = urlsplit(part["url"])
        connection.putrequest("PUT", where.path)
        for name, value in (*_WHO.items(), ("Content-Length", str(size))):
            connection.putheader(name, value)
        connection.endheaders()
        with file.open("rb", buffering=0) as opened:
            connection.sock.sendfile(opened, offset, size)
        answer = connection.getresponse()
        answer.read()
        if answer.status not in (200, 201):
            raise SystemExit(f"a part was answered with {answer.status}")


_WHO = {"Authorization": "Bearer any", "X-Instance": "here-1", "X-Epoch": "1"}


def _ask(path: Path, method: str, url: str, body: bytes) -> Any:
    connection = _connection(path, url)
    connection.request(method, url, body, _WHO)
    answer = connection.getresponse()
    content = answer.read()
    if answer.status != 200:
        raise SystemExit(f"{method} was answered with {answer.status}: {content[:300]!r}")
    connection.close()
    return json.loads(content)


def _connection(path: Path, url: str) -> HTTPConnection:
    where = urlsplit(url)
    connection = HTTPConnection(where.netloc or "localhost")
    if where.netloc:
        connection.connect()
    else:
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(str(path))
    return connection


def _forget(folder: Path) -> None:
    """The store begins each time with an empty disk, and nothing left to be written to it."""
    shutil.rmtree(folder / "kept", ignore_errors=True)
    os.sync()


@contextlib.contextmanager
def _store(kind: str, folder: Path) -> Iterator[Path]:
    path = folder / "files.sock"
    command = [sys.executable, str(_STORES), kind, str(folder / "kept"), str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            yield path
        finally:
            process.kill()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind", choices=["sink", "files"])
    parser.add_argument("megabytes", type=int)
    chosen = parser.parse_args()
    print(json.dumps(measure(chosen.kind, chosen.megabytes * 1_000_000)))


if __name__ == "__main__":
    main()
