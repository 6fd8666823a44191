"""Measures what a tunnel costs: ``python benchmarks/tunnel.py``, as root on Linux, where the tests can run.

A program on a machine of the tests sends small websocket messages that are answered one by one, and uploads; once
through the tunnel, once over sockets of this machine. Prints both, and their ratios.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import subprocess
import sys
import tempfile
import threading
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from websockets.asyncio.server import ServerConnection, unix_serve  # noqa: E402

from clustertune.provisioner.bootstrap.connection import Connection, connect  # noqa: E402
from clustertune.provisioner.bootstrap.target import Target  # noqa: E402
from clustertune.provisioner.bootstrap.tunnel import Tunnel  # noqa: E402
from tests.machines.image import Image  # noqa: E402
from tests.machines.machine import Machine  # noqa: E402
from tests.machines.rack import Rack, why_not  # noqa: E402

CLIENT = """
import asyncio, socket, sys, threading, time
from websockets.asyncio.client import unix_connect
link, files, messages, size, what = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]

async def speak(result):
    async with unix_connect(link, compression=None) as peer:
        await peer.send("x"); await peer.recv()
        began, waits = time.perf_counter(), []
        async def hear():
            for _ in range(messages):
                await peer.recv()
        hearing = asyncio.create_task(hear())
        for _ in range(messages):
            await peer.send("x" * 160)
        await hearing
        result["messages/s"] = messages / (time.perf_counter() - began)
        for _ in range(200):
            began = time.perf_counter()
            await peer.send("x" * 160); await peer.recv()
            waits.append(time.perf_counter() - began)
        waits.sort()
        result["p50 ms"], result["p99 ms"] = waits[100] * 1e3, waits[197] * 1e3

def upload(result):
    peer, chunk = socket.socket(socket.AF_UNIX), bytes(1 << 20)
    peer.connect(files)
    began = time.perf_counter()
    for _ in range(size):
        peer.sendall(chunk)
    peer.shutdown(socket.SHUT_WR); peer.recv(1)
    result["MiB/s"] = size / (time.perf_counter() - began)

result = {}
threads = [threading.Thread(target=upload, args=(result,))] if what in ("upload", "both") else []
for each in threads: each.start()
if what in ("messages", "both"):
    asyncio.run(speak(result))
for each in threads: each.join()
print(repr(result))
"""


def main() -> int:
    parser = argparse.ArgumentParser(description="Measures what a tunnel costs, beside sockets of this machine.")
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--mib", type=int, default=100, help="how much is uploaded")
    chosen = parser.parse_args()
    if (reason := why_not()) is not None:
        print(reason, file=sys.stderr)
        return 1
    rack = Rack()
    try:
        machine = rack.make(1, Image())[0]
        with tempfile.TemporaryDirectory(prefix="ct-") as folder:
            asyncio.run(_measure(machine, Path(folder), chosen))
    finally:
        rack.close()
    return 0


async def _measure(machine: Machine, folder: Path, chosen: argparse.Namespace) -> None:
    """The coordinator's part: its sockets in this loop, the tunnel in the loop of a thread."""
    async with _answering(folder), _through_a_tunnel(machine, folder) as there:
        print(f"{'':10}{'':>12}{'loopback':>12}{'tunnel':>12}{'ratio':>8}")
        for what in ("messages", "upload", "both"):
            words = [str(chosen.messages), str(chosen.mib), what]
            here = {name: str(folder / name) for name in ("link", "files")}
            plain = await asyncio.to_thread(_client, None, here, words)
            tunnelled = await asyncio.to_thread(_client, machine, there, words)
            for name, value in plain.items():
                ratio = tunnelled[name] / value
                print(f"{what:10}{name:>12}{value:12.1f}{tunnelled[name]:12.1f}{ratio:8.2f}", flush=True)


def _client(machine: Machine | None, paths: Mapping[str, str], words: list[str]) -> dict[str, float]:
    command = [sys.executable, "-c", CLIENT, paths["link"], paths["files"], *words]
    if machine is not None:
        said = machine.run(*command).stdout
    else:
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found: dict[str, float] = eval(said)
    return found


@contextlib.asynccontextmanager
async def _answering(folder: Path) -> AsyncIterator[None]:
    async def answer(peer: ServerConnection) -> None:
        async for message in peer:
            await peer.send(message)

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1 << 18):
            pass
        writer.write(b".")
        writer.close()

    async with (
        unix_serve(answer, str(folder / "link"), compression=None),
        await asyncio.start_unix_server(take, folder / "files"),
    ):
        yield


@contextlib.asynccontextmanager
async def _through_a_tunnel(machine: Machine, folder: Path) -> AsyncIterator[dict[str, str]]:
    """The paths on the machine."""
    told: dict[str, str] = {}
    up, ended = threading.Event(), threading.Event()

    async def hold() -> None:
        async def named(_: Connection) -> str:
            return "/tmp"

        async def tell(_: Connection, paths: Mapping[str, str]) -> None:
            told.update(paths)

        target = Target(host=machine.address, user=machine.user, identity=machine.key)
        forwards = {name: folder / name for name in ("link", "files")}
        async with Tunnel(
            lambda: connect(target, keys=[machine.host_key]), forwards, folder=named, tell=tell, chance=random.Random(1)
        ) as tunnel:
            await tunnel.connected()
            up.set()
            while not ended.is_set():
                await asyncio.sleep(0.1)

    thread = threading.Thread(target=lambda: asyncio.run(hold()))
    thread.start()
    try:
        await asyncio.to_thread(up.wait)
        yield told
    finally:
        ended.set()
        await asyncio.to_thread(thread.join)


if __name__ == "__main__":
    sys.exit(main())
