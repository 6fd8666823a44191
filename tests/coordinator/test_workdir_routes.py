"""Programs come to a real coordinator process, from clients and from strangers."""

from __future__ import annotations

import contextlib
import hashlib
import json
import resource
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from clustertune.model.checkpoint import FileEntry, Manifest, Part
from tests.coordinator.test_server import Api, submission
from tests.coordinator.test_workdirs import manifest_of

if TYPE_CHECKING:
    from tests.conftest import TestHome


@pytest.fixture
def api(home: TestHome) -> Api:
    with home.connect() as coordinator:
        port = coordinator.port
    return Api(port, (home.cluster.path / "token").read_text())


def name_of(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()


def in_a_stream(*texts: bytes) -> bytes:
    return b"".join(f"{name_of(text)} {len(text)}\n".encode() + text for text in texts)


def announce(api: Api, manifest: Manifest) -> dict[str, int]:
    status, answer = api.ask("POST", "/v1/workdirs", manifest.encode())
    assert (status, answer["digest"]) == (200, manifest.digest())
    found: dict[str, int] = answer["missing"]
    return found


def bring(api: Api, manifest: Manifest, *texts: bytes) -> str:
    announce(api, manifest)
    assert api.ask("POST", "/v1/workdirs/parts", in_a_stream(*texts))[0] == 201
    assert announce(api, manifest) == {}
    return manifest.digest()


def kept(home: TestHome) -> set[str]:
    return {path.name for path in home.cluster.path.glob("workdirs/snapshots/parts/*")}


def test_a_program_comes_in_parts_and_is_then_named_by_an_experiment(api: Api, home: TestHome) -> None:
    manifest = Manifest((FileEntry("sub/train.py", 0o644, (Part(name_of(b"one"), 3),)),))
    given = submission() | {"snapshot": manifest.digest(), "workdir": "sub"}
    status, answer = api.ask("POST", "/v1/experiments", given)
    assert (status, "is not whole here: send it" in answer["error"]) == (409, True)
    assert announce(api, manifest) == {name_of(b"one"): 3}
    assert api.ask("PUT", f"/v1/workdirs/parts/{name_of(b'one')}", b"one")[0] == 201
    assert api.ask("POST", "/v1/experiments", given)[0] == 409  # all is there, and nobody said so
    assert announce(api, manifest) == {}
    assert api.ask("POST", "/v1/experiments", given)[0] == 201
    assert kept(home) == {name_of(b"one")}


def test_trials_run_in_a_folder_of_the_snapshot_or_not_at_all(api: Api) -> None:
    manifest = Manifest((FileEntry("sub/train.py", 0o644, (Part(name_of(b"one"), 3),)),))
    bring(api, manifest, b"one")
    for workdir in ("other", "sub/train.py", "..", "/", "/etc", "sub/..", "su"):
        given = submission() | {"snapshot": manifest.digest(), "workdir": workdir}
        status, answer = api.ask("POST", "/v1/experiments", given)
        assert (status, f"has no folder {workdir!r}" in answer["error"]) == (422, True)


def test_an_experiment_that_ends_lets_its_program_go_and_a_paused_one_does_not(api: Api, home: TestHome) -> None:
    manifest = manifest_of(b"one")
    digest = bring(api, manifest, b"one")
    given = submission() | {"snapshot": digest, "workdir": ""}
    names = [api.ask("POST", "/v1/experiments", given)[1]["name"] for _ in range(2)]
    api.ask("POST", f"/v1/experiments/{names[0]}/pause", {})
    api.ask("POST", f"/v1/experiments/{names[1]}/stop", {})
    assert api.ask("PUT", "/v1/cluster/workdir", {"snapshot": digest})[0] == 200
    other = bring(api, manifest_of(b"two"), b"two")
    assert api.ask("PUT", "/v1/cluster/workdir", {"snapshot": other})[0] == 200
    assert kept(home) == {name_of(b"one"), name_of(b"two")}
    api.ask("POST", f"/v1/experiments/{names[0]}/stop", {})
    while kept(home) != {name_of(b"two")}:
        assert api.ask("GET", "/v1/cluster")[0] == 200
    assert (home.cluster.path / "workdirs" / "current").read_text() == other


def test_only_a_whole_snapshot_can_be_the_clusters(api: Api) -> None:
    for body, status in (({"snapshot": "0" * 64}, 409), ({"snapshot": "../x"}, 409), ({}, 422), ([], 422), (b"{", 422)):
        assert api.ask("PUT", "/v1/cluster/workdir", body)[0] == status
    assert api.ask("PUT", "/v1/cluster/workdir", b"x" * 5000)[0] == 413


def test_what_is_no_program_is_refused_in_words(api: Api) -> None:
    refused = [
        (b"{", "no manifest"),
        (b"[]", "no manifest"),
        (json.dumps({"files": [], "folders": []}).encode(), "not in the form"),
        (Manifest((FileEntry("../x"),)).encode(), "a path that it must not"),
        (Manifest((FileEntry("/etc/passwd"),)).encode(), "a path that it must not"),
        (Manifest((FileEntry("a"), FileEntry("a/b"))).encode(), "below a file"),
        (Manifest((FileEntry("a", 0o4755),)).encode(), "no permission"),
        (Manifest((FileEntry("a", 0o600, (Part("x", 1),)),)).encode(), "is not one"),
        (Manifest(tuple(FileEntry(f"{n}", 0o600, (Part("0" * 64, 2**25),)) for n in range(150))).encode(), "too much"),
    ]
    for data, part in refused:
        status, answer = api.ask("POST", "/v1/workdirs", data)
        assert status == 422
        assert part in answer["error"]


def test_parts_that_nobody_announced_are_not_taken(api: Api, home: TestHome) -> None:
    digest = name_of(b"one")
    status, answer = api.ask("PUT", f"/v1/workdirs/parts/{digest}", b"one")
    assert (status, "announce it, then send this" in answer["error"]) == (412, True)
    assert api.ask("POST", "/v1/workdirs/parts", in_a_stream(b"one"))[0] == 412
    assert api.ask("PUT", "/v1/workdirs/parts/..%2F..%2Ftoken", b"one")[0] == 404
    assert kept(home) == set()


def test_an_answer_to_a_large_body_is_heard_though_the_body_was_not_wanted(api: Api) -> None:
    status, answer = api.ask("PUT", f"/v1/workdirs/parts/{'0' * 64}", b"x" * 2**25)
    assert (status, "announce" in answer["error"]) == (412, True)


def test_a_part_that_is_another_is_refused_and_leaves_nothing(api: Api, home: TestHome) -> None:
    announce(api, manifest_of(b"one"))
    for data in (b"two", b"on", b"ones", b""):
        assert api.ask("PUT", f"/v1/workdirs/parts/{name_of(b'one')}", data)[0] == 422
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it need not even be heard
        assert api.ask("PUT", f"/v1/workdirs/parts/{name_of(b'one')}", b"x" * (2**25 + 1))[0] == 413
    assert kept(home) == set()


def test_of_a_stream_that_is_wrong_somewhere_what_came_before_stays(api: Api, home: TestHome) -> None:
    texts = [b"one", b"two", b"three"]
    announce(api, manifest_of(*texts))
    wrong = in_a_stream(b"one", b"two") + f"{name_of(b'three')} 5\nTHREE".encode()
    assert api.ask("POST", "/v1/workdirs/parts", wrong)[0] == 422
    assert announce(api, manifest_of(*texts)) == {name_of(b"three"): 5}
    assert kept(home) == {name_of(b"one"), name_of(b"two")}
    assert api.ask("POST", "/v1/workdirs/parts", in_a_stream(b"three")[:-1])[0] == 422
    assert api.ask("POST", "/v1/workdirs/parts", in_a_stream(b"three").replace(b" 5\n", b" 9999999999\n"))[0] == 422
    assert kept(home) == {name_of(b"one"), name_of(b"two")}


def test_a_connection_that_breaks_leaves_what_was_whole_and_nothing_else(api: Api, home: TestHome) -> None:
    texts = [b"one", b"two" * 1_000_000]
    announce(api, manifest_of(*texts))
    body = in_a_stream(*texts)
    head = f"POST /v1/workdirs/parts HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {api.token}\r\n"
    with socket.create_connection(("127.0.0.1", api.port)) as connection:
        connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body[:2_000_000])
        while name_of(b"one") not in kept(home):
            assert api.ask("GET", "/v1/cluster")[0] == 200
    while kept(home) != {name_of(b"one")}:  # the one that was under way goes
        assert api.ask("GET", "/v1/cluster")[0] == 200
    assert announce(api, manifest_of(*texts)).keys() == {name_of(texts[1])}


def test_strangers_bring_nothing(api: Api, home: TestHome) -> None:
    strangers = [
        ({"Authorization": "Bearer wrong"}, 401),
        ({"Origin": "http://evil.example"}, 403),
        ({"Host": "evil.example"}, 403),
    ]
    for path in ("/v1/workdirs", "/v1/workdirs/parts", "/v1/workdirs/parts/x", "/v1/cluster/workdir"):
        for method in ("POST", "PUT"):
            for headers, status in strangers:
                assert api.ask(method, path, b"{}", **headers)[0] == status
    assert not (home.cluster.path / "workdirs").exists()


def test_a_manifest_beyond_the_bound_is_refused_unread(api: Api) -> None:
    assert api.ask("POST", "/v1/workdirs", b"", **{"Content-Length": str(10**9)})[0] == 413
    assert api.ask("POST", "/v1/workdirs/parts", b"", **{"Content-Length": str(10**9)})[0] == 413


def test_what_is_kept_is_the_owners_alone(api: Api, home: TestHome) -> None:
    digest = bring(api, manifest_of(b"one"), b"one")
    api.ask("PUT", "/v1/cluster/workdir", {"snapshot": digest})
    found = list((home.cluster.path / "workdirs").rglob("*"))
    assert len(found) >= 4
    for path in [home.cluster.path / "workdirs", *found]:
        assert path.lstat().st_mode & 0o077 == 0, path


def test_a_full_disk_is_told_and_the_rest_is_taken_once_there_is_room(api: Api, home: TestHome) -> None:
    text = b"x" * 3_000_000
    manifest = manifest_of(b"one", text)
    announce(api, manifest)
    (process,) = home.processes("clustertune.coordinator")
    # A limit on the size of files gives what a full disk gives: a write that fails.
    before = resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (1_000_000, resource.RLIM_INFINITY))
    status, answer = api.ask("PUT", f"/v1/workdirs/parts/{name_of(text)}", text)
    assert (status, answer["error"].startswith("no room for the program that was sent in ")) == (507, True)
    assert api.ask("PUT", f"/v1/workdirs/parts/{name_of(b'one')}", b"one")[0] == 201
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, before)
    assert kept(home) == {name_of(b"one")}
    assert api.ask("PUT", f"/v1/workdirs/parts/{name_of(text)}", text)[0] == 201
    assert announce(api, manifest) == {}


def test_ten_thousand_files_are_a_few_requests(api: Api, home: TestHome) -> None:
    texts = [str(number).encode() for number in range(10_000)]
    manifest = manifest_of(*texts)
    assert len(announce(api, manifest)) == 10_000
    bring(api, manifest, *texts)
    assert len(kept(home)) == 10_000


def test_an_answer_is_never_a_program_of_somebody_else(api: Api) -> None:
    """There is no way to read programs back: machines are sent them by the coordinator."""
    digest = bring(api, manifest_of(b"one"), b"one")
    for path in (f"/v1/workdirs/{digest}", f"/v1/workdirs/parts/{name_of(b'one')}", "/v1/workdirs"):
        status, answer = api.ask("GET", path)
        assert status in (404, 405)
        assert "one" not in json.dumps(answer)


def facts_of(home: TestHome) -> list[Any]:
    from clustertune.coordinator.journal import Journal

    return [fact for _, fact in Journal(Path(home.cluster.path / "journal.sqlite")).facts()]


def test_the_journal_names_the_program_so_that_a_restart_knows_it(api: Api, home: TestHome) -> None:
    digest = bring(api, manifest_of(b"one"), b"one")
    api.ask("POST", "/v1/experiments", submission() | {"snapshot": digest, "workdir": ""})
    home.kill("clustertune.coordinator")
    created = [fact for fact in facts_of(home) if type(fact).__name__ == "ExperimentCreated"]
    assert [(fact.snapshot, fact.workdir) for fact in created] == [(digest, "")]
    with home.connect() as coordinator:
        port = coordinator.port
    again = Api(port, api.token)
    assert announce(again, manifest_of(b"one")) == {}
    again.ask("POST", "/v1/experiments/digits/stop", {})
