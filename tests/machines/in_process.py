"""Where there can be no real machines: an SSH server in this process, which gives what it can of one."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import NoReturn, TypeVar

import asyncssh
import psutil
import pytest

from tests.machines.image import USER, Image

T = TypeVar("T")
MARK = "CLUSTERTUNE_TEST_MACHINE"
"""What runs on it is found by this in its environment."""


class InProcessMachine:
    """As Machine, on a port of this host and as this user. What only namespaces can do skips the test that asks."""

    user = USER  # any is let in with the key

    def __init__(self, folder: Path, key: Path, image: Image, why: str) -> None:
        self.folder, self.key, self.image, self._why = folder, key, image, why
        self.address = self.address6 = "127.0.0.1"
        self.name, self.home, self.host_key, self.port = folder.name, str(folder / "home"), "", 0
        if image != Image():
            self._cannot("be any other than the usual one")
        Path(self.home).mkdir(parents=True)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server: asyncssh.SSHAcceptor | None = None
        self._open: set[asyncssh.SSHServerConnection] = set()
        self._host_private_key = asyncssh.generate_private_key("ssh-ed25519")

    @property
    def known_hosts(self) -> str:
        return f"[{self.address}]:{self.port} {self.host_key}\n"

    @property
    def alive(self) -> bool:
        return self._server is not None

    def start(self, *, new_host_key: bool = False, reinstalled: bool = False) -> None:
        if reinstalled:
            self._cannot("be reinstalled")
        if new_host_key:
            self._host_private_key = asyncssh.generate_private_key("ssh-ed25519")
        self.host_key = self._host_private_key.export_public_key().decode().strip()
        self._do(self._listen())

    def kill(self, *, silently: bool = True) -> None:
        """Never silent here: the kernel lives on, and closes its connections."""
        if self._server is not None:
            self._do(self._close())
        while left := self.processes():
            for process in left:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            psutil.wait_procs(left, timeout=10)

    def drop_connections(self) -> None:
        self._do(self._abort())

    def run(self, *command: str, given: bytes = b"", check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            command, input=given, capture_output=True, cwd=self.home, env=self._environment(), check=False, timeout=60
        )
        text = subprocess.CompletedProcess(command, done.returncode, done.stdout.decode(), done.stderr.decode())
        assert not check or text.returncode == 0, text
        return text

    def processes(self, *words: str) -> list[psutil.Process]:
        return [
            each for each in psutil.process_iter() if self._is_ours(each) and all(word in _line(each) for word in words)
        ]

    def remove(self) -> None:
        self.kill()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def cut(self) -> None:
        self._cannot("be cut off")

    def heal(self) -> None:
        """It is always connected."""

    def freeze(self) -> None:
        self._cannot("hang")

    def thaw(self) -> None:
        """It never hangs."""

    def slow_down(self, rate: str) -> None:
        self._cannot(f"be slowed down to {rate}")

    def _cannot(self, what: str) -> NoReturn:
        pytest.skip(f"a machine in this process cannot {what}; {self._why}")

    def _do(self, what: Coroutine[object, object, T]) -> T:
        return asyncio.run_coroutine_threadsafe(what, self._loop).result(20)

    async def _listen(self) -> None:
        self._server = await asyncssh.listen(
            self.address,
            self.port,
            server_factory=lambda: _Server(self._open),
            server_host_keys=[self._host_private_key],
            authorized_client_keys=str(self.key.with_suffix(".pub")),
            process_factory=self._run_for,
            encoding=None,
            config=None,
        )
        self.port = self._server.get_port()

    async def _abort(self) -> None:
        for connection in list(self._open):
            connection.abort()
            await connection.wait_closed()

    async def _close(self) -> None:
        assert self._server is not None
        self._server.close()
        await self._abort()
        await self._server.wait_closed()
        self._server = None

    async def _run_for(self, asked: asyncssh.SSHServerProcess[bytes]) -> None:
        process = await asyncio.create_subprocess_exec(
            "/bin/sh",
            "-c",
            asked.command or "true",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=self.home,
            env=self._environment(),
            start_new_session=True,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        feeding = asyncio.create_task(_copy(asked.stdin, process.stdin))
        try:
            await asyncio.gather(_copy(process.stdout, asked.stdout), _copy(process.stderr, asked.stderr))
            code = await process.wait()
        finally:
            feeding.cancel()
        if code >= 0:
            asked.exit(code)
        else:
            asked.exit_with_signal(signal.Signals(-code).name.removeprefix("SIG"))

    def _environment(self) -> dict[str, str]:
        return {"HOME": self.home, "USER": self.user, "PATH": os.environ["PATH"], MARK: str(self.folder)}

    def _is_ours(self, process: psutil.Process) -> bool:
        with contextlib.suppress(psutil.Error):
            return process.status() != psutil.STATUS_ZOMBIE and process.environ().get(MARK) == str(self.folder)
        return False


async def _copy(
    source: asyncio.StreamReader | asyncssh.SSHReader[bytes], sink: asyncio.StreamWriter | asyncssh.SSHWriter[bytes]
) -> None:
    with contextlib.suppress(asyncssh.Error, OSError):
        while data := await source.read(1 << 16):
            sink.write(data)
            await sink.drain()
        if isinstance(sink, asyncio.StreamWriter):
            sink.close()


class _Server(asyncssh.SSHServer):
    """Forwards whatever is asked for."""

    def __init__(self, opened: set[asyncssh.SSHServerConnection]) -> None:
        self._opened = opened
        self._connection: asyncssh.SSHServerConnection | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn
        self._opened.add(conn)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._connection is not None:
            self._opened.discard(self._connection)

    def connection_requested(self, *_: object) -> bool:
        return True

    def unix_server_requested(self, listen_path: str) -> bool:
        return True


def _line(process: psutil.Process) -> str:
    with contextlib.suppress(psutil.Error):
        return " ".join(process.cmdline())
    return ""
