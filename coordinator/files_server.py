"""The HTTP server that agents bring checkpoints to and fetch them from, on a unix socket (decision 9)."""

from __future__ import annotations

import asyncio
import os
import socket
from functools import partial
from pathlib import Path

import uvicorn
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from clustertune.coordinator.files_patience import PatientProtocol
from clustertune.coordinator.files_routes import Depot, application
from clustertune.coordinator.files_streams import Streams
from clustertune.coordinator.http_server import HttpServer

SILENT_S = 300.0
"""Who says or takes nothing for so long is dropped; an upload held to 5 KB/s pauses for minutes between blocks."""

_CLOSE_S = 2


class FilesServer:
    """A server that runs."""

    def __init__(self, path: Path, server: _Server, serving: asyncio.Task[None], streams: Streams) -> None:
        self._path, self._server, self._serving, self._streams = path, server, serving, streams

    async def close(self) -> None:
        """Cuts what is under way, which agents take up again with the next server, and removes the socket."""
        self._path.unlink(missing_ok=True)
        self._server.leaving.set()
        for connection in list(self._server.server_state.connections):
            if (transport := getattr(connection, "transport", None)) is not None:
                transport.abort()
        await self._serving
        await asyncio.to_thread(self._streams.close)


async def serve(path: Path, depot: Depot, *, silent_s: float = SILENT_S) -> FilesServer:
    """Raises OSError where the socket cannot be made. A socket that another server left is replaced."""
    streams = Streams()
    app = _Guard(application(depot, streams), depot)
    config = uvicorn.Config(
        app,
        http=partial(PatientProtocol, silent_s=silent_s),  # type: ignore[arg-type] # called as a class is
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="warning",
        access_log=False,
        timeout_keep_alive=int(max(1, silent_s)),
        timeout_graceful_shutdown=_CLOSE_S,
    )
    server = _Server(config)
    listener = _listener(path)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    await server.listening.wait()
    return FilesServer(path, server, serving, streams)


class _Server(HttpServer):
    """Tells that it listens, and when it is to leave."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening, self.leaving = asyncio.Event(), asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self.listening.set()

    async def main_loop(self) -> None:
        """Waits, where uvicorn wakes ten times a second to look whether it should go on."""
        await self.leaving.wait()


def _listener(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(os.fspath(path))
        path.chmod(0o600)  # nobody is listening yet, so nobody came in before
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener


class _Guard:
    """Lets agents in by their token, before anything else is read; every error leaves as JSON."""

    def __init__(self, app: ASGIApp, depot: Depot) -> None:
        self._app, self._depot = app, depot

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        try:
            if self._admits(Request(scope)):
                await self._app(scope, receive, send)
            else:
                answer = JSONResponse({"error": "this is not the instance's agent, or not its token"}, 401)
                await answer(scope, receive, send)
        except (ClientDisconnect, asyncio.CancelledError):
            return  # the connection is gone, or the server is going
        except Exception:
            if not isinstance(scope.get("explained"), Exception):
                raise

    def _admits(self, request: Request) -> bool:
        headers = request.headers
        kind, _, token = headers.get("authorization", "").partition(" ")
        epoch = headers.get("x-epoch", "")
        if kind != "Bearer" or not (epoch.isascii() and epoch.isdecimal() and len(epoch) < 10):
            return False
        return self._depot.admits(headers.get("x-instance", ""), int(epoch), token)
