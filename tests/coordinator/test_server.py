"""The API of a real coordinator process, asked as a client and as a stranger would."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from clustertune.definition import ExperimentDefinition
from tests.coordinator.core.wayward import install
from tests.coordinator.core.world import definition

if TYPE_CHECKING:
    from tests.conftest import TestHome


class Api:
    def __init__(self, port: int, token: str) -> None:
        self.port, self.token = port, token

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=15)
        try:
            sent = body if isinstance(body, bytes | None) else json.dumps(body).encode()
            connection.request(method, path, sent, {"Authorization": f"Bearer {self.token}", **headers})
            answer = connection.getresponse()
            text = answer.read().decode()
            kind = answer.headers.get("content-type", "")
            return answer.status, json.loads(text) if "json" in kind else text
        finally:
            connection.close()


@pytest.fixture
def api(home: TestHome) -> Api:
    with home.connect() as coordinator:
        port = coordinator.port
    return Api(port, (home.cluster.path / "token").read_text())


def submission(**changes: Any) -> dict[str, Any]:
    plain = definition(run={"command": "sleep 60"}, **changes)
    return {"definition": plain, "workdir": "/", "secrets": {}, "python": sys.executable}


@pytest.mark.parametrize("token", ["", "wrong", "ü"])
def test_without_the_token_nothing_is_answered(token: str, api: Api) -> None:
    status, answer = api.ask("GET", "/v1/cluster", Authorization=f"Bearer {token}".encode("latin-1").decode("latin-1"))
    assert (status, answer) == (401, {"error": "the token is missing or wrong"})


@pytest.mark.parametrize(
    "headers", [{"Host": "evil.example:80"}, {"Origin": "http://evil.example"}, {"Origin": "null"}]
)
def test_a_page_in_the_browser_is_refused_even_with_the_token(headers: dict[str, str], api: Api) -> None:
    assert api.ask("GET", "/v1/cluster", **headers)[0] == 403


def test_only_loopback_is_listened_on(api: Api) -> None:
    listening = subprocess.run(["ss", "-ltn"], capture_output=True, text=True, check=False).stdout
    here = [line.split()[3] for line in listening.splitlines() if line.rstrip().split()[3].endswith(f":{api.port}")]
    assert here == [f"127.0.0.1:{api.port}"]


@pytest.mark.parametrize(
    ("body", "part"),
    [
        (b"{", "is not JSON"),
        ([], "must be a JSON object"),
        ({}, "definition is missing"),
        ({"definition": {}, "workdir": "/"}, "run"),
        ({"definition": {"name": "x"}, "workdir": 3}, "workdir"),
    ],
)
def test_a_submission_that_is_none_is_refused_in_words(body: Any, part: str, api: Api) -> None:
    status, answer = api.ask("POST", "/v1/experiments", body)
    assert status == 422
    assert part in answer["error"]


def test_a_body_beyond_the_bound_is_refused_unread(api: Api) -> None:
    status, _ = api.ask("POST", "/v1/experiments", b"", **{"Content-Length": str(10**9)})
    assert status == 413


def test_a_body_that_does_not_say_its_length_is_bounded_too(api: Api) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", api.port, timeout=15)
    headers = {"Authorization": f"Bearer {api.token}"}
    try:
        connection.request("POST", "/v1/experiments", iter([b"x" * 2**20] * 20), headers, encode_chunked=True)
        status = connection.getresponse().status
    except (BrokenPipeError, ConnectionResetError):
        status = 413
    finally:
        connection.close()
    assert status == 413


def test_a_definition_reads_back_as_it_was_submitted_with_secrets_by_name_alone(api: Api) -> None:
    given = submission(secrets=["HF_TOKEN"]) | {"secrets": {"HF_TOKEN": "hush"}}
    assert api.ask("POST", "/v1/experiments", given)[0] == 201
    status, answer = api.ask("GET", "/v1/experiments/digits/definition")
    assert status == 200
    assert ExperimentDefinition.from_plain(answer).space == ExperimentDefinition.from_plain(given["definition"]).space
    assert answer["secrets"] == ["HF_TOKEN"]
    assert "hush" not in json.dumps(answer)
    assert api.ask("GET", "/v1/experiments/digit/definition")[0] == 404


def test_auto_is_chosen_here_too_for_whoever_writes_it_or_leaves_it_out(api: Api) -> None:
    given = submission(resource={"max": 9}, scheduler="auto")
    given["definition"].pop("searcher", None)
    assert api.ask("POST", "/v1/experiments", given)[0] == 201
    answer = api.ask("GET", "/v1/experiments/digits/definition")[1]
    assert (answer["scheduler"]["type"], answer["scheduler"]["brackets"]) == ("asha", 3)
    assert answer["searcher"]["because"]


def test_names_count_up_and_states_forbid_what_makes_no_sense(api: Api) -> None:
    names = [api.ask("POST", "/v1/experiments", submission())[1]["name"] for _ in range(2)]
    assert names == ["digits", "digits-2"]
    assert api.ask("POST", "/v1/experiments/digits/pause", {})[1]["state"] == "paused"
    assert api.ask("POST", "/v1/experiments/digits/resume", {})[1]["state"] == "running"
    assert api.ask("POST", "/v1/experiments/digits/stop", {})[1]["state"] == "stopped"
    status, answer = api.ask("POST", "/v1/experiments/digits/pause", {})
    assert (status, answer["error"]) == (409, "experiment digits is stopped and cannot be paused")
    status, answer = api.ask("POST", "/v1/experiments/digit/pause", {})
    assert (status, answer["error"]) == (404, "there is no experiment called 'digit'; did you mean 'digits'?")
    assert api.ask("POST", "/v1/experiments/digits-2/dance", {})[0] == 404
    assert api.ask("GET", "/v1/experiments/digits/files/..%2Ftoken")[0] == 404
    assert api.ask("GET", "/v1/experiments/digits/trials/99/log")[0] == 404


def test_secrets_are_asked_for_and_never_written(api: Api, home: TestHome) -> None:
    body = submission(secrets=["HF_TOKEN"])
    status, answer = api.ask("POST", "/v1/experiments", body)
    assert (status, answer["error"]) == (422, "no value was given for the secrets HF_TOKEN")
    body["secrets"] = {"HF_TOKEN": "a-very-secret-value"}
    assert api.ask("POST", "/v1/experiments", body)[0] == 201
    assert api.ask("GET", "/v1/experiments/digits")[1]["secrets"] == ["HF_TOKEN"]
    for path in home.path.rglob("*"):
        if path.is_file():
            assert b"a-very-secret-value" not in path.read_bytes(), path


def test_everything_in_the_home_folder_is_its_owners_alone(api: Api, home: TestHome) -> None:
    api.ask("POST", "/v1/experiments", submission())
    for path in [home.path, *home.path.rglob("*")]:
        assert path.lstat().st_mode & 0o077 == 0 or path.is_symlink(), path


def test_a_second_coordinator_of_the_cluster_leaves_at_once(api: Api, home: TestHome) -> None:
    second = subprocess.run(
        [sys.executable, "-m", "clustertune.coordinator", "--home", str(home.path), "--cluster", "local"],
        env=dict(os.environ),
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert second.returncode == 4
    assert api.ask("GET", "/v1/cluster")[0] == 200


def test_a_damaged_journal_ends_the_coordinator_with_what_to_do(home: TestHome) -> None:
    home.cluster.path.mkdir(parents=True)
    (home.cluster.path / "journal.sqlite").write_bytes(b"no database" * 500)
    run = subprocess.run(
        [sys.executable, "-m", "clustertune.coordinator", "--home", str(home.path), "--cluster", "local"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert run.returncode == 5
    assert "move it away to begin anew" in run.stderr
    assert "Traceback" not in run.stderr


def test_the_api_describes_itself(api: Api) -> None:
    status, answer = api.ask("GET", "/openapi.json")
    assert status == 200
    assert "/v1/experiments/{name}/{action}" in answer["paths"]


def test_a_journal_removed_in_use_ends_the_coordinator_with_words_and_nothing_is_acknowledged(
    api: Api, home: TestHome
) -> None:
    api.ask("POST", "/v1/experiments", submission())
    for path in home.cluster.path.glob("journal.sqlite*"):
        path.unlink()
    home.killed = True
    try:
        status, answer = api.ask("POST", "/v1/experiments", submission())
    except OSError:
        return  # it was gone already: its look at the file comes every second
    assert (status, "was removed or replaced" in answer["error"]) == (503, True)


def test_a_folder_of_results_that_the_journal_does_not_know_is_left_alone(api: Api, home: TestHome) -> None:
    (home.cluster.path / "experiments" / "digits").mkdir(parents=True)
    assert api.ask("POST", "/v1/experiments", submission())[1]["name"] == "digits-2"


def test_a_storage_that_cannot_be_used_is_told_before_anything_runs(api: Api, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    status, answer = api.ask("POST", "/v1/experiments", submission(storage=str(tmp_path / "file" / "store")))
    assert status == 422
    assert "checkpoints cannot be kept in" in answer["error"]
    assert api.ask("GET", "/v1/cluster")[1]["experiments"] == []


def test_an_experiment_whose_algorithm_cannot_be_made_is_refused_and_leaves_nothing(
    home: TestHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path / "site", monkeypatch)
    with home.connect() as coordinator:
        port = coordinator.port
    api = Api(port, (home.cluster.path / "token").read_text())
    status, answer = api.ask("POST", "/v1/experiments", submission(scheduler={"type": "wayward", "raises": "__init__"}))
    assert status == 409
    assert answer["error"].startswith(
        "the scheduler wayward (of package wayward 0.1) raised ZeroDivisionError: in __init__ in its constructor"
    )
    assert api.ask("GET", "/v1/cluster")[1]["experiments"] == []
