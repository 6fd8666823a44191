"""A real HTTP server that speaks a coordinator's API from canned answers, for what a healthy one never says."""

from __future__ import annotations

import contextlib
import json
import threading
from collections import deque
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from clustertune.client.coordinator import Coordinator
from clustertune.model.codec import to_plain
from clustertune.model.messages import PROTOCOL
from clustertune.model.snapshot import ClusterSnapshot, ExperimentSnapshot, Incumbent, TrialRow
from clustertune.model.trial import ExperimentState, TrialState

TOKEN = "a" * 64
Answer = tuple[int, Any] | Callable[["Request"], tuple[int, Any]]


class Request:
    """One request as it arrived."""

    def __init__(self, method: str, target: str, headers: Any, body: bytes) -> None:
        split = urlsplit(target)
        self.method, self.path = method, split.path
        self.query = dict(parse_qsl(split.query))
        self.token = headers.get("Authorization", "").removeprefix("Bearer ")
        self.body = json.loads(body) if body else None


class CoordinatorApi:
    """``answers`` by "METHOD /path"; ``queued`` answers come first. Bytes are sent as they are; None hangs up."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {"GET /v1/cluster": (200, cluster())}
        self.queued: dict[str, deque[Answer]] = {}
        self.requests: list[Request] = []
        self.connections = 0
        self._server = _Server(self)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()

    def client(self, *, timeout_s: float = 5.0, token: str = TOKEN) -> Coordinator:
        return Coordinator(self.port, token, timeout_s=timeout_s)

    def queue(self, key: str, *answers: Answer) -> None:
        self.queued.setdefault(key, deque()).extend(answers)

    def answer(self, request: Request) -> tuple[int, Any]:
        self.requests.append(request)
        key = f"{request.method} {request.path}"
        waiting = self.queued.get(key)
        answer = waiting.popleft() if waiting else self.answers.get(key, (404, {"error": f"no answer for {key}"}))
        return answer(request) if callable(answer) else answer

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, api: CoordinatorApi) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.api = api


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.server.api.connections += 1

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):
            super().handle()

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status, answer = self.server.api.answer(Request(self.command, self.path, self.headers, body))
        if answer is None:
            self.close_connection = True
            return
        text = answer if isinstance(answer, bytes) else json.dumps(to_plain(answer)).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_POST = do_GET  # noqa: N815 - http.server looks methods up by this name

    def log_message(self, *_arguments: Any) -> None:
        pass


@contextlib.contextmanager
def serving() -> Iterator[CoordinatorApi]:
    api = CoordinatorApi()
    try:
        yield api
    finally:
        api.close()


def cluster(**changes: Any) -> ClusterSnapshot:
    values: dict[str, Any] = {
        "cluster": "local", "provider": "local", "version": "0.1.0", "protocol": PROTOCOL, "pid": 1, "uptime_s": 1.0,
    }  # fmt: skip
    return ClusterSnapshot(**{**values, **changes})


def row(trial: int, **changes: Any) -> TrialRow:
    values: dict[str, Any] = {
        "trial": trial, "state": TrialState.RUNNING, "attempts": 1, "resource": 3, "value": 0.25, "last_value": 0.3,
        "elapsed_s": 2.5, "config": {"learning_rate": 0.0123456, "solver": "sgd"},
    }  # fmt: skip
    return TrialRow(**{**values, **changes})


def experiment(**changes: Any) -> ExperimentSnapshot:
    values: dict[str, Any] = {
        "name": "digits", "state": ExperimentState.RUNNING, "cluster": "local", "reason": "",
        "metric": "validation_error", "goal": "minimize", "resource": "epoch", "max_resource": 27,
        "searcher": "random", "scheduler": "asha", "seed": 7, "limit": 64,
        "counts": {"running": 2, "completed": 3, "stopped": 9}, "reports": 143,
        "best": Incumbent(trial=7, value=0.02777, resource=27, config={"learning_rate": 0.0123456, "solver": "sgd"}),
        "running": (row(12), row(13)), "recent": (row(11, state=TrialState.STOPPED),),
        "created": 1_700_000_000.0, "elapsed_s": 12.0, "time_limit_s": None, "cost_usd": 0.0,
        "slots_used": 2, "slots": 2, "instances": 1,
        "folder": "/home/me/.clustertune/clusters/local/experiments/digits",
    }  # fmt: skip
    return ExperimentSnapshot(**{**values, **changes})
