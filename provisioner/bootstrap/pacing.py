"""Large things are sent no sooner than the link takes them, so that small messages need not wait behind them."""

from __future__ import annotations

import asyncio
import fcntl
import socket
import struct
import sys

import asyncssh

BULK_BYTES = 16 << 10
"""What comes in pieces smaller than this is sent at once, always."""

PIECE_BYTES = 64 << 10
MOST_WAITING_BYTES = 128 << 10
"""Sent by us and not yet by the kernel. asyncssh itself lets two megabytes wait for each stream: seconds, at home."""

LOOK_AGAIN_S = 0.002

_UNSENT = 0x894B  # SIOCOUTQNSD: bytes that the kernel holds and has not sent once; Linux


class Pace:
    """Of one connection; ``before`` is that of the connection that it leads through."""

    def __init__(self, ssh: asyncssh.SSHClientConnection, before: Pace | None) -> None:
        self._transport, self._before = ssh._transport, before
        found = ssh.get_extra_info("socket") if before is None else None
        self._socket = found if isinstance(found, socket.socket) or hasattr(found, "fileno") else None

    def is_behind(self) -> bool:
        return self._waiting_bytes() > MOST_WAITING_BYTES

    async def catch_up(self) -> None:
        while self.is_behind():
            await asyncio.sleep(LOOK_AGAIN_S)

    def _waiting_bytes(self) -> int:
        buffered = getattr(self._transport, "get_write_buffer_size", lambda: 0)()
        return int(buffered) + self._in_kernel() + (self._before._waiting_bytes() if self._before is not None else 0)

    def _in_kernel(self) -> int:
        if self._socket is None or sys.platform != "linux":
            return 0
        try:
            return int(struct.unpack("i", fcntl.ioctl(self._socket.fileno(), _UNSENT, bytes(4)))[0])
        except (OSError, ValueError):
            return 0  # closed


class PacedSocket(asyncssh.SSHForwarder):
    """The end here of a stream that came through the machine's socket."""

    def __init__(self, pace: Pace) -> None:
        super().__init__()
        self._pace = pace
        self._stream_is_full = self._catches_up = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        transport.max_size = PIECE_BYTES  # type: ignore[attr-defined]  # of one read: asyncio's is four times that

    def pause_reading(self) -> None:
        self._stream_is_full = True
        super().pause_reading()

    def resume_reading(self) -> None:
        self._stream_is_full = False
        if not self._catches_up:
            super().resume_reading()

    def data_received(self, data: bytes, datatype: int | None = None) -> None:
        super().data_received(data, datatype)
        if len(data) >= BULK_BYTES and not self._catches_up and self._transport is not None and self._pace.is_behind():
            self._catches_up = True
            self._transport.pause_reading()
            self._look_later()

    def _look_later(self) -> None:
        asyncio.get_running_loop().call_later(LOOK_AGAIN_S, self._look)

    def _look(self) -> None:
        if self._transport is None:
            return
        if self._pace.is_behind():
            self._look_later()
            return
        self._catches_up = False
        if not self._stream_is_full:
            self._transport.resume_reading()


async def listen(ssh: asyncssh.SSHClientConnection, pace: Pace, there: str, here: str) -> None:
    """Connections to the socket that is made at ``there`` lead to the one at ``here``. Raises as asyncssh does."""

    async def accept() -> asyncssh.SSHForwarder:
        try:
            _, end = await asyncio.get_running_loop().create_unix_connection(lambda: PacedSocket(pace), here)
        except OSError as error:
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_CONNECT_FAILED, str(error)) from error
        return asyncssh.SSHForwarder(end)

    await ssh.create_unix_server(accept, there)
