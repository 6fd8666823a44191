"""Stands before a store, and fails as it is told."""

from __future__ import annotations

import contextlib
import http.client

from tests.coordinator.storage.loopback import Loopback, Quiet


class FaultyProxy(Loopback):
    """Passes requests on, except while ``failing`` holds statuses to answer instead; a 0 cuts the connection."""

    def __init__(self, target: int) -> None:
        self.target, self.failing, self.requests = target, [], []  # type: ignore[var-annotated]
        self.always: int | None = None
        proxy = self

        class Handler(_Handler):
            owner = proxy

        super().__init__(Handler)


class _Handler(Quiet):
    owner: FaultyProxy

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        self.owner.requests.append(f"{self.command} {self.path.partition('?')[0]}")
        status = self.owner.always if self.owner.always is not None else next(iter(self.owner.failing), None)
        if status is not None:
            del self.owner.failing[:1]
            self._fail(status)
            return
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.owner.target, timeout=20)) as connection:
            self._pass_on(connection, body)

    def _pass_on(self, connection: http.client.HTTPConnection, body: bytes) -> None:
        connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        content = answer.read()
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            if name.lower() not in ("connection", "transfer-encoding", "content-length", "date", "server"):
                self.send_header(name, value)
        length = answer.headers.get("content-length", "0") if self.command == "HEAD" else str(len(content))
        self.send_header("Content-Length", length)
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = _serve  # noqa: N815 - as their base calls them

    def _fail(self, status: int) -> None:
        if not status:
            self.close_connection = True
            return
        body = b"<Error><Code>SlowDown</Code><Message>sekret in the body</Message></Error>"
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
