"""The files server before a folder: who is let in, what is refused, and what is left of what broke off."""

from __future__ import annotations

import concurrent.futures
import contextlib
import hashlib
import http.client
import json
import os
import select
import shutil
import socket
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clustertune.coordinator.files_server import serve
from clustertune.coordinator.files_streams import AT_ONCE
from clustertune.coordinator.storage.opening import open_storage
from clustertune.model.checkpoint import MAX_MANIFEST_BYTES, PART_BYTES, FileEntry, Manifest
from clustertune.model.errors import JournalFull
from tests.coordinator.storage.house import Depot, House, UnixConnection, checkpoint, house, loop_in_a_thread

CONTENT = b"content" * 1000
DIGEST = hashlib.sha256(CONTENT).hexdigest()
PART = f"/v1/experiments/digits/parts/{DIGEST}"
ANNOUNCED = "/v1/attempts/digits:0:1/checkpoints"


@pytest.fixture
def folder() -> Iterator[Path]:
    """Socket paths are short, and pytest's own folders are long."""
    path = Path(tempfile.mkdtemp(prefix="ct-"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def built(folder: Path) -> Iterator[House]:
    with house(open_storage(None, folder / "kept"), folder / "files.sock") as running:
        yield running


@pytest.fixture
def impatient(folder: Path) -> Iterator[House]:
    with house(open_storage(None, folder / "kept"), folder / "files.sock", silent_s=0.2) as running:
        yield running


def files(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.is_file()]


def connect(built: House) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(20)
    connection.connect(str(built.path))
    return connection


def head(built: House, method: str, path: str, **headers: object) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: x", *(f"{k}: {v}" for k, v in built.agent.headers.items())]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode()


def answered(connection: socket.socket) -> tuple[int, Any]:
    answer = http.client.HTTPResponse(connection)
    answer.begin()
    return answer.status, json.loads(answer.read())


@pytest.mark.parametrize(
    "changed",
    [
        {"Authorization": "Bearer wrong"},
        {"Authorization": ""},
        {"Authorization": "Basic x"},
        {"X-Instance": "there-2"},
        {"X-Epoch": "2"},
        {"X-Epoch": ""},
        {"X-Epoch": "-3"},
        {"X-Epoch": "9" * 400},
        {"X-Epoch": "\xb2"},
    ],
)
def test_who_is_not_the_present_agent_is_told_nothing(changed: dict[str, str], built: House) -> None:
    built.agent.headers |= changed
    for method, path in (("PUT", PART), ("GET", PART), ("GET", "/"), ("POST", ANNOUNCED), ("GET", "/openapi.json")):
        assert built.agent.ask(method, path, CONTENT)[0] == 401
    assert files(built.path.parent / "kept") == []


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/v1/experiments/digits/parts/../../../etc/passwd", 404),
        ("GET", f"/v1/experiments/..%2f..%2fetc/parts/{DIGEST}", 404),
        ("GET", "/v1/experiments/digits/parts/..%2f..%2f..%2ffiles.sock", 404),
        ("GET", f"/v1/experiments/digits/parts/{DIGEST.upper()}", 404),
        ("GET", f"/v1/experiments/digits/parts/{DIGEST}%00", 404),
        ("GET", f"/v1/experiments/digits/parts/{DIGEST}%0a", 404),
        ("GET", PART, 404),
        ("HEAD", "/nothing", 404),
        ("DELETE", PART, 405),
        ("GET", ANNOUNCED, 405),
        ("GET", f"/v1/experiments/digits/checkpoints/{DIGEST}", 404),
        ("GET", f"/v1/experiments/other/checkpoints/{DIGEST}", 404),
        ("PUT", f"/v1/experiments/other/parts/{DIGEST}", 404),
        ("PUT", "/v1/experiments/digits/parts/x", 404),
        ("POST", "/v1/attempts/digits/checkpoints", 404),
        ("POST", "/v1/attempts/digits:x:y/checkpoints", 404),
        ("POST", "/v1/attempts/..%2f:1:1/checkpoints", 404),
        ("POST", ANNOUNCED + "/x/whole", 404),
        ("POST", f"{ANNOUNCED}/{DIGEST}/whole", 412),
        ("POST", ANNOUNCED, 422),
    ],
)
def test_what_is_nothing_of_ours_is_an_error_in_words(method: str, path: str, status: int, built: House) -> None:
    found, answer = built.agent.ask(method, path, CONTENT if method in ("PUT", "POST") else None)
    assert found == status
    if method != "HEAD":
        assert isinstance(answer["error"], str)
        assert "Traceback" not in answer["error"]
    assert files(built.path.parent / "kept") == []


@pytest.mark.parametrize("sent", [b"\x00\x01\x02\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/1.1\r\n\xff: \xff\r\n\r\n"])
def test_what_is_no_http_is_answered_in_json_and_the_connection_ends(sent: bytes, built: House) -> None:
    with connect(built) as connection:
        connection.sendall(sent)
        assert answered(connection)[0] == 400
        assert connection.recv(1) == b""
    assert built.agent.ask("PUT", PART, CONTENT)[0] == 201


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}x",
        b"[" * 5000,
        b'{"files":[{"path":"../x","mode":384,"parts":[]}],"folders":[]}',
        b'{"files":[],"folders":["/etc"]}',
        b'{"files":[], "folders":[]}',
    ],
)
def test_what_is_no_manifest_is_refused(body: bytes, built: House) -> None:
    status, answer = built.agent.ask("POST", ANNOUNCED, body)
    assert (status, isinstance(answer["error"], str)) == (422, True)


@pytest.mark.parametrize(
    ("method", "path", "limit"), [("PUT", PART, PART_BYTES), ("POST", ANNOUNCED, MAX_MANIFEST_BYTES)]
)
def test_a_body_that_says_to_be_too_large_is_refused_unread(method: str, path: str, limit: int, built: House) -> None:
    with connect(built) as connection:
        connection.sendall(head(built, method, path, content_length=limit + 1))
        assert answered(connection)[0] == 413
        assert connection.recv(1) == b""


@pytest.mark.parametrize(
    ("method", "path", "limit"), [("PUT", PART, PART_BYTES), ("POST", ANNOUNCED, MAX_MANIFEST_BYTES)]
)
def test_a_body_of_unknown_length_is_cut_where_it_is_too_large(
    method: str, path: str, limit: int, built: House
) -> None:
    megabyte = b"100000\r\n" + bytes(1 << 20) + b"\r\n"
    with connect(built) as connection:
        connection.sendall(head(built, method, path, transfer_encoding="chunked"))
        try:
            for _ in range(limit // (1 << 20) + 2):
                connection.sendall(megabyte)
        except OSError:
            pass  # it was cut before all was sent
        else:
            assert answered(connection)[0] == 413
    assert built.agent.ask("PUT", PART, CONTENT)[0] == 201
    assert files(built.path.parent / "kept") == [DIGEST]


def test_a_body_of_unknown_length_is_taken_where_it_is_not(built: House) -> None:
    with connect(built) as connection:
        connection.sendall(head(built, "PUT", PART, transfer_encoding="chunked"))
        connection.sendall(f"{len(CONTENT):x}\r\n".encode() + CONTENT + b"\r\n0\r\n\r\n")
        assert answered(connection)[0] == 201


def test_bytes_that_are_not_what_the_digest_says_are_refused_and_gone(built: House) -> None:
    status, answer = built.agent.ask("PUT", PART, CONTENT[:-1] + b"x")
    assert (status, "send them again" in answer["error"]) == (422, True)
    assert files(built.path.parent / "kept") == []
    assert built.agent.ask("PUT", PART, CONTENT)[0] == 201


def test_a_part_may_be_sent_again_and_by_many_at_once(built: House) -> None:
    content = os.urandom(3_000_000)
    path = f"/v1/experiments/digits/parts/{hashlib.sha256(content).hexdigest()}"
    with concurrent.futures.ThreadPoolExecutor(24) as threads:
        sent = [threads.submit(built.agent.ask, "PUT", path, content) for _ in range(24)]
        assert [done.result(60)[0] for done in sent] == [201] * 24
    assert built.agent.ask("GET", path) == (200, content)
    assert len(files(built.path.parent / "kept")) == 1


def test_one_connection_serves_many_requests(built: House) -> None:
    connection = UnixConnection(built.path)
    for _ in range(3):
        for method in ("PUT", "GET"):
            connection.request(method, PART, CONTENT if method == "PUT" else None, built.agent.headers)
            answer = connection.getresponse()
            assert answer.status in (200, 201)
            answer.read()
    connection.close()


def test_a_client_that_breaks_off_leaves_nothing(built: House) -> None:
    with connect(built) as connection:
        connection.sendall(head(built, "PUT", PART, content_length=len(CONTENT)) + CONTENT[:-1])
    assert built.agent.ask("PUT", PART, CONTENT)[0] == 201
    built.run(built.storage.drop_all("digits-1763712000000"))
    assert files(built.path.parent / "kept") == []


@pytest.mark.parametrize("said", [0, 20, 10**6])
def test_a_client_that_falls_silent_is_dropped(said: int, impatient: House) -> None:
    begun = head(impatient, "PUT", PART, content_length=len(CONTENT)) + CONTENT[:-1]
    with connect(impatient) as connection:
        connection.sendall(begun[:said])
        assert connection.recv(1) == b""
    assert impatient.agent.ask("PUT", PART, CONTENT)[0] == 201


def test_a_client_that_does_not_take_its_answer_is_dropped(impatient: House) -> None:
    content = bytes(8_000_000)
    path = f"/v1/experiments/digits/parts/{hashlib.sha256(content).hexdigest()}"
    assert impatient.agent.ask("PUT", path, content)[0] == 201
    with connect(impatient) as connection:
        connection.sendall(head(impatient, "GET", path) + b"\r\n")
        hang_up = select.poll()
        hang_up.register(connection, 0)  # tells of its end, and not of what could be read
        assert hang_up.poll(20_000)
        taken = 0
        with contextlib.suppress(ConnectionError):
            while piece := connection.recv(1 << 20):
                taken += len(piece)
    assert taken < len(content)


def test_more_transfers_than_places_wait_and_are_served(built: House) -> None:
    opened = [connect(built) for _ in range(AT_ONCE)]
    begun = head(built, "PUT", PART, content_length=len(CONTENT))
    for connection in opened:
        connection.sendall(begun + CONTENT[:-1])
    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        late = [threads.submit(built.agent.ask, "PUT", PART, CONTENT) for _ in range(4)]
        for connection in opened:
            connection.sendall(CONTENT[-1:])
            assert answered(connection)[0] == 201
            connection.close()
        assert [done.result(30)[0] for done in late] == [201] * 4


def test_what_nobody_wants_any_more_is_not_stored(built: House) -> None:
    manifest, content = checkpoint(CONTENT)
    built.agent.put(built.agent.announce(manifest), content)
    built.depot.unwanted = {manifest.digest()}
    assert built.agent.whole(manifest)[0] == 404
    assert built.agent.ask("GET", f"/v1/experiments/digits/checkpoints/{manifest.digest()}")[0] == 404


def test_while_the_journal_takes_nothing_a_checkpoint_is_not_whole(built: House) -> None:
    manifest, content = checkpoint(CONTENT)
    built.agent.put(built.agent.announce(manifest), content)
    built.depot.error = JournalFull("the disk is full: free some space")
    assert built.agent.whole(manifest) == (503, {"error": "the disk is full: free some space"})
    built.depot.error = None
    assert built.agent.whole(manifest)[0] == 200
    assert len(built.depot.journaled) == 1


def test_a_mistake_of_ours_is_answered_in_words_and_the_server_goes_on(built: House) -> None:
    manifest, content = checkpoint(CONTENT)
    built.agent.put(built.agent.announce(manifest), content)
    built.depot.error = RuntimeError("a secret of ours")
    status, answer = built.agent.whole(manifest)
    assert (status, "secret" in answer["error"]) == (500, False)
    built.depot.error = None
    assert built.agent.whole(manifest)[0] == 200


def test_an_empty_checkpoint_is_a_checkpoint(built: House) -> None:
    manifest = Manifest(files=(FileEntry("empty"),), folders=("there",))
    assert built.agent.announce(manifest) == []
    built.agent.store(manifest, {})
    assert built.agent.fetch(manifest.digest()) == {}


def test_only_the_owner_may_connect_and_nothing_is_left_of_the_socket(folder: Path) -> None:
    path = folder / "files.sock"
    with house(open_storage(None, folder / "kept"), path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(folder.iterdir()) == []


def test_a_socket_that_another_server_left_is_replaced(folder: Path) -> None:
    path = folder / "files.sock"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    with house(open_storage(None, folder / "kept"), path) as built:
        assert built.agent.ask("PUT", PART, CONTENT)[0] == 201


def test_closing_cuts_transfers_and_leaves_nothing_of_them(folder: Path) -> None:
    with loop_in_a_thread() as loop:
        built = House(loop, folder / "files.sock", Depot(open_storage(None, folder / "kept")))
        server = built.run(serve(built.path, built.depot))
        cut, idle = connect(built), connect(built)
        cut.sendall(head(built, "PUT", PART, content_length=len(CONTENT)) + CONTENT[:-1])
        assert built.agent.ask("GET", "/")[0] == 404
        built.run(server.close())
        for connection in (cut, idle):
            with contextlib.suppress(ConnectionError):
                assert connection.recv(1) == b""
            connection.close()
    assert files(folder) == []
