"""A real agent process, and a small real coordinator's end of its link."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from websockets.asyncio.server import ServerConnection, unix_serve
from websockets.exceptions import ConnectionClosed

from clustertune.agent.removal import remove
from clustertune.model.messages import (
    MAX_FRAME_BYTES,
    NUMBERED,
    PROTOCOL,
    Ack,
    Described,
    Discard,
    Ended,
    Hello,
    LogChunk,
    LogRequest,
    Message,
    MetricPattern,
    Numbered,
    Refused,
    Reports,
    RunSpec,
    Saved,
    Start,
    Started,
    Stop,
    StoreTrouble,
    Welcome,
    decode,
    encode,
)
from clustertune.model.trial import Ending, Report
from tests.agent.files_server import FilesServer
from tests.agent.host import Host

PATIENCE_S = 20.0


class Coordinator:
    """The other end of the link: keeps every numbered message once, acknowledges it, and says what tests tell it to."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket
        self.hellos: list[Hello] = []
        self.seen: dict[int, Numbered] = {}
        self.repeated: list[int] = []
        self.chunks: dict[int, LogChunk] = {}
        self.acknowledges = True
        self.welcomes = True
        self.discards = False
        self.refusal: Refused | None = None
        self._server: Any = None
        self._connections: set[ServerConnection] = set()
        self._changed = asyncio.Event()
        self._requests = 0

    async def open(self) -> None:
        self.socket.unlink(missing_ok=True)
        self._server = await unix_serve(self._serve, str(self.socket), compression=None, max_size=MAX_FRAME_BYTES)

    async def close(self) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, connection: ServerConnection) -> None:
        hello = decode(await connection.recv())
        assert isinstance(hello, Hello)
        self.hellos.append(hello)
        self._note()
        if self.refusal is not None:
            await connection.send(encode(self.refusal))
            return
        await connection.send(encode(Welcome(PROTOCOL, self.acknowledged)))
        self._connections.add(connection)
        self._note()
        try:
            async for frame in connection:
                await self._take(connection, decode(frame))
        except ConnectionClosed:
            pass  # the agent was killed, or the link was cut
        finally:
            self._connections.discard(connection)
            self._note()

    async def _take(self, connection: ServerConnection, message: Message) -> None:
        if isinstance(message, LogChunk):
            self.chunks[message.request] = message
        else:
            assert isinstance(message, NUMBERED)
            if message.seq in self.seen:
                assert self.seen[message.seq] == message
                self.repeated.append(message.seq)
            else:
                assert message.seq == len(self.seen) + 1, "a number is missing"
                self.seen[message.seq] = message
            if self.acknowledges:
                await connection.send(encode(Ack(self.acknowledged)))
            if self.discards and isinstance(message, Saved):
                await connection.send(encode(Discard(message.attempt, (message.digest,))))
        self._note()

    @property
    def acknowledged(self) -> int:
        return len(self.seen) if self.acknowledges else 0

    def _note(self) -> None:
        self._changed.set()

    async def until(self, what: Callable[[], object], patience_s: float = PATIENCE_S) -> None:
        """Waits for messages until ``what`` holds."""

        async def wait() -> None:
            while not what():
                self._changed.clear()
                await self._changed.wait()

        try:
            await asyncio.wait_for(wait(), patience_s)
        except TimeoutError:
            newest = [encode(message)[:500] for message in list(self.seen.values())[-10:]]
            raise AssertionError("\n".join(["never came; the newest messages:", *newest])) from None

    async def connected(self) -> None:
        await self.until(lambda: self._connections)

    async def cut(self) -> None:
        """Cuts the link; the agent connects again."""
        for connection in list(self._connections):
            connection.transport.abort()
        await self.until(lambda: not self._connections)

    async def send(self, message: Message) -> None:
        await self.connected()
        for connection in list(self._connections):
            await connection.send(encode(message))

    async def want_nothing(self) -> None:
        """Nothing that was saved, nor what will be: an agent that ends need not wait for anybody to store it."""
        self.discards = True
        for saved in [m for m in self.seen.values() if isinstance(m, Saved)]:
            for connection in list(self._connections):
                with contextlib.suppress(ConnectionClosed):
                    await connection.send(encode(Discard(saved.attempt, (saved.digest,))))

    async def run(self, start: Start) -> Ending:
        await self.send(start)
        return await self.ended(start.attempt)

    def ending(self, attempt: str) -> Ending | None:
        found = [m.ending for m in self.seen.values() if isinstance(m, Ended) and m.attempt == attempt]
        assert len(found) < 2
        return found[0] if found else None

    async def ended(self, attempt: str) -> Ending:
        await self.until(lambda: self.ending(attempt))
        ending = self.ending(attempt)
        assert ending is not None
        return ending

    def pid(self, attempt: str) -> int | None:
        return next((m.pid for m in self.seen.values() if isinstance(m, Started) and m.attempt == attempt), None)

    async def started(self, attempt: str) -> int:
        await self.until(lambda: self.pid(attempt))
        pid = self.pid(attempt)
        assert pid is not None
        return pid

    def reports(self, attempt: str) -> list[Report]:
        return [r for m in self.seen.values() if isinstance(m, Reports) and m.attempt == attempt for r in m.reports]

    def values(self, attempt: str, metric: str = "loss") -> list[tuple[int, float]]:
        return [(report.resource, report.metrics[metric]) for report in self.reports(attempt)]

    def notices(self, attempt: str) -> list[str]:
        found = [n for m in self.seen.values() if isinstance(m, Reports) and m.attempt == attempt for n in m.notices]
        ending = self.ending(attempt)
        return found + list(ending.notices if ending else ())

    def saved(self, attempt: str, kind: str = "checkpoint") -> list[Saved]:
        return [m for m in self.seen.values() if isinstance(m, Saved) and (m.attempt, m.kind) == (attempt, kind)]

    async def has_saved(self, attempt: str, count: int = 1) -> Saved:
        await self.until(lambda: len(self.saved(attempt)) >= count)
        return self.saved(attempt)[count - 1]

    def told(self, attempt: str) -> dict[str, str]:
        found = [m.told for m in self.seen.values() if isinstance(m, Described) and m.attempt == attempt]
        return {name: text for told in found for name, text in told.items()}

    def troubles(self) -> list[str]:
        return [m.error for m in self.seen.values() if isinstance(m, StoreTrouble)]

    async def log(self, attempt: str, offset: int = 0, limit: int = 65536) -> LogChunk:
        self._requests += 1
        await self.send(LogRequest(self._requests, attempt, offset, limit))
        await self.until(lambda: self._requests in self.chunks)
        return self.chunks[self._requests]


class AgentProcess:
    """``python -m clustertune.agent`` with its enrolment on standard input."""

    def __init__(self, folder: Path, socket: Path, epoch: int = 1, **more: object) -> None:
        self.folder = folder
        self.log = socket.parent / f"agent-{epoch}.log"
        enrolment = {
            "socket": str(socket),
            "instance": "local-0",
            "epoch": epoch,
            "token": "t0ken-of-the-agent",
            **more,
        }
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "clustertune.agent", "--folder", str(folder)],
                stdin=subprocess.PIPE, stderr=log, stdout=log, start_new_session=True,
            )  # fmt: skip
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(enrolment).encode())
        self.process.stdin.close()

    @property
    def pid(self) -> int:
        return self.process.pid

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    async def exit_code(self) -> int:
        return await asyncio.to_thread(self.process.wait, PATIENCE_S)

    def children(self) -> list[psutil.Process]:
        return psutil.Process(self.pid).children(recursive=True)

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(20)
        if self.process.poll() is None:
            self.kill()


class Rig:
    """A coordinator, an agent, and a folder with the user's programs."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.workdir = root / "work"
        self.workdir.mkdir()
        self.folder = root / "agent"
        self.coordinator = Coordinator(root / "c.sock")
        self.agent: AgentProcess = None  # type: ignore[assignment]
        self.files: FilesServer = None  # type: ignore[assignment]
        self._agents: list[AgentProcess] = []

    def open_files(self) -> FilesServer:
        """A server of checkpoints, for agents that are launched from now on."""
        self.files = FilesServer(self.root / "f.sock")
        return self.files

    def launch(self, epoch: int = 1, **more: object) -> AgentProcess:
        if self.files is not None:
            more = {"files": str(self.root / "f.sock"), **more}
        self.agent = AgentProcess(more.pop("folder", self.folder), self.coordinator.socket, epoch, **more)  # type: ignore[arg-type]
        self._agents.append(self.agent)
        return self.agent

    def write(self, name: str, text: str) -> Path:
        path = self.workdir / name
        path.write_text(text)
        return path

    def call(self, body: str, name: str = "train", **more: Any) -> RunSpec:
        """A callable ``train(config)`` in a module of its own."""
        indented = "\n    ".join(body.strip("\n").split("\n"))
        self.write(
            f"{name}.py",
            f"import os, sys, time, math, signal\nimport clustertune\n\n\ndef train(config):\n    {indented}\n",
        )
        return self.spec(call=f"{name}:train", **more)

    def spec(self, **more: Any) -> RunSpec:
        return RunSpec(**{"workdir": str(self.workdir), "objective": "loss", "grace_s": 5.0, **more})

    def start(self, run: RunSpec, trial: int = 0, **more: Any) -> Start:
        return Start(**{"attempt": f"digits:{trial}:1", "config": {}, "run": run, **more})

    async def go(self, run: RunSpec, trial: int = 0, **more: Any) -> Ending:
        return await self.coordinator.run(self.start(run, trial, **more))

    async def stop(self, trial: int = 0, reason: str = "stopped") -> Ending:
        await self.coordinator.send(Stop(f"digits:{trial}:1", reason))
        return await self.coordinator.ended(f"digits:{trial}:1")

    def kept(self) -> list[str]:
        """Checkpoints in the agent's own keeping: ``attempt/level``."""
        root = self.folder / "checkpoints"
        folders = [name for name in os.listdir(root) if not name.startswith(".")] if root.exists() else []
        found = []
        for folder in folders:
            with contextlib.suppress(FileNotFoundError):  # the agent has just removed it
                found += [f"{folder}/{name}" for name in os.listdir(root / folder) if (root / folder / name).is_dir()]
        return sorted(found)

    async def leave(self) -> None:
        """Ends the agent as its provider would; the coordinator goes on meanwhile."""
        await asyncio.to_thread(self.agent.end)

    def end(self) -> None:
        if self.files is not None:
            self.files.gate.set()
        for agent in self._agents:
            agent.end()
        if self.files is not None:
            self.files.close()


@pytest.fixture
def short_path() -> Iterator[Path]:
    """Sockets' paths must be short, which pytest's folders are not."""
    path = Path(tempfile.mkdtemp(prefix="ct-"))
    yield path
    remove(path)  # Python's own gives up on folders as deep as some tests make
    assert not path.exists()


@pytest.fixture
def host(short_path: Path) -> Iterator[Host]:
    """This machine with nothing of ours on it; the agent that a test started is ended."""
    host = Host(short_path)
    yield host
    if host.root.is_dir() and not host.root.is_symlink():
        host.ask("stop")


@pytest.fixture
def in_rig(short_path: Path) -> Callable[..., None]:
    """Runs a coroutine function with a rig whose agent is connected."""

    def run(
        scenario: Callable[[Rig], Awaitable[None]], *, launch: bool = True, files: bool = False, **more: object
    ) -> None:
        async def main() -> None:
            rig = Rig(short_path)
            await rig.coordinator.open()
            try:
                if files:
                    rig.open_files()
                if launch:
                    rig.launch(**more)
                    await rig.coordinator.connected()
                await scenario(rig)
            finally:
                await rig.coordinator.want_nothing()
                await asyncio.to_thread(rig.end)
                await rig.coordinator.close()

        asyncio.run(main())

    return run


@pytest.fixture
def pattern() -> type[MetricPattern]:
    return MetricPattern
