"""DESIGN.md 7: the REST API listens on loopback only, needs a token too, checks Host and Origin; its files are 0600."""

from __future__ import annotations

import http.client
import itertools
import json
import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from clustertune.client.coordinator import Coordinator

if TYPE_CHECKING:
    from tests.conftest import TestHome

PATHS = ["/v1/cluster", "/openapi.json", "/docs", "/nowhere", "/v1/experiments/x/files/best.yaml"]
ACTIONS = ["/v1/shutdown", "/v1/cluster/up", "/v1/cluster/down", "/v1/experiments", "/v1/workdirs"]


@pytest.fixture
def coordinator(home: TestHome) -> Iterator[Coordinator]:
    with home.connect() as found:
        yield found


def ask(port: int, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, str, dict[str, str]]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=15)
    try:
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, answer.read().decode(), {name.lower(): value for name, value in answer.getheaders()}
    finally:
        connection.close()


def test_a_form_that_a_page_sends_without_asking_first_does_nothing(coordinator: Coordinator) -> None:
    before = coordinator.cluster()
    forms = ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x")
    origins: tuple[dict[str, str], ...] = ({"Origin": "http://evil.example"}, {"Origin": "null"}, {})
    for path, kind, origin in itertools.product(ACTIONS, forms, origins):
        status, _, headers = ask(coordinator.port, "POST", path, b'{"stop_agents":true}', Content_Type=kind, **origin)
        assert status in (401, 403), (path, kind, origin)
        assert not [name for name in headers if name.startswith("access-control")]
    assert coordinator.cluster().pid == before.pid


def test_a_name_that_leads_here_meanwhile_opens_nothing(coordinator: Coordinator, home: TestHome) -> None:
    """DNS rebinding: the page's own host has our address now. Even somebody with the token is refused by that name."""
    token = (home.cluster.path / "token").read_text()
    port = coordinator.port
    hosts = ("evil.example", f"evil.example:{port}", "127.0.0.1.evil.example", "localhost.evil", "", "[::1]:1")
    for path, host in itertools.product(PATHS, hosts):
        status, text, _ = ask(port, "GET", path, Host=host, Authorization=f"Bearer {token}")
        assert status in (400, 403), (path, host)
        assert token not in text
    assert {ask(port, "GET", path)[0] for path in PATHS} == {401}


def test_a_preflight_is_not_answered(coordinator: Coordinator) -> None:
    asks = {"Access_Control_Request_Method": "POST", "Access_Control_Request_Headers": "authorization"}
    status, _, headers = ask(coordinator.port, "OPTIONS", "/v1/shutdown", Origin="http://evil.example", **asks)
    assert status == 403
    assert "access-control-allow-origin" not in headers


def test_no_websocket_is_opened_to_a_page(coordinator: Coordinator) -> None:
    """Browsers ask nobody before they open one."""
    lines = [
        "GET /v1/cluster HTTP/1.1", f"Host: 127.0.0.1:{coordinator.port}", "Connection: Upgrade", "Upgrade: websocket",
        "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Origin: http://evil.example",
    ]  # fmt: skip
    with socket.create_connection(("127.0.0.1", coordinator.port), timeout=15) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        status = connection.recv(4096).split(b"\r\n")[0]
    assert status.split()[1] in (b"401", b"403"), status


def test_bodies_nested_without_end_are_answered_in_words(coordinator: Coordinator, home: TestHome) -> None:
    token = (home.cluster.path / "token").read_text()
    for body in (b"[" * 200_000, b'{"definition":' + b'{"a":' * 900 + b"1" + b"}" * 901):
        status, text, _ = ask(coordinator.port, "POST", "/v1/experiments", body, Authorization=f"Bearer {token}")
        assert (status, list(json.loads(text))) == (422, ["error"])
