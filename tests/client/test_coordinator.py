"""The client against a server that says what it is told to say."""

from __future__ import annotations

import math
import socket

import pytest

from clustertune.client.coordinator import Coordinator
from clustertune.model.errors import ClustertuneError, CoordinatorUnreachable, JournalFull, Mistake
from clustertune.model.messages import PROTOCOL
from clustertune.model.snapshot import LogPage, Submission
from tests.client.coordinator_api import TOKEN, CoordinatorApi, cluster, experiment, row


def test_a_snapshot_arrives_as_it_was_sent(api: CoordinatorApi) -> None:
    sent = experiment(running=(row(1, value=math.inf, last_value=None),))
    api.answers["GET /v1/experiments/digits"] = (200, sent)
    with api.client() as client:
        assert client.experiment("digits", after=41) == sent
    assert api.requests[-1].query == {"after": "41"}
    assert api.requests[-1].token == TOKEN


def test_one_connection_serves_many_questions(api: CoordinatorApi) -> None:
    with api.client() as client:
        for _ in range(5):
            client.cluster()
    assert api.connections == 1


def test_a_question_is_repeated_when_the_kept_connection_was_dead(api: CoordinatorApi) -> None:
    with api.client() as client:
        client.cluster()
        api.queue("GET /v1/cluster", (0, None))
        assert client.cluster().cluster == "local"


def test_a_submission_is_never_repeated(api: CoordinatorApi) -> None:
    api.answers["POST /v1/experiments"] = (0, None)
    with api.client() as client:
        client.cluster()
        with pytest.raises(CoordinatorUnreachable):
            client.submit(Submission(definition={}, workdir="/"))
    assert [request.method for request in api.requests] == ["GET", "POST"]


def test_a_submission_carries_definition_workdir_and_secrets(api: CoordinatorApi) -> None:
    api.answers["POST /v1/experiments"] = (201, {"name": "digits-2"})
    with api.client() as client:
        assert (
            client.submit(Submission(definition={"name": "digits"}, workdir="/w", secrets={"KEY": "s"})) == "digits-2"
        )
    assert api.requests[-1].body == {
        "definition": {"name": "digits"}, "workdir": "/w", "secrets": {"KEY": "s"}, "python": "", "snapshot": "",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("status", "kind"), [(404, Mistake), (409, Mistake), (422, Mistake), (503, JournalFull), (500, ClustertuneError)]
)
def test_a_refusal_becomes_an_error_with_its_sentence(
    api: CoordinatorApi, status: int, kind: type[ClustertuneError]
) -> None:
    api.answers["POST /v1/experiments/digits/pause"] = (status, {"error": "digits has completed"})
    with api.client() as client, pytest.raises(kind, match=r"^digits has completed$"):
        client.pause("digits")


def test_an_answer_that_is_not_ours_says_so(api: CoordinatorApi) -> None:
    api.answers["GET /v1/cluster"] = (200, b"<html>hello</html>")
    with api.client() as client, pytest.raises(CoordinatorUnreachable, match="not a coordinator"):
        client.cluster()


def test_an_answer_with_a_field_missing_names_the_field(api: CoordinatorApi) -> None:
    api.answers["GET /v1/experiments/digits"] = (200, {"name": "digits"})
    with api.client() as client, pytest.raises(CoordinatorUnreachable, match="state is missing"):
        client.experiment("digits")


def test_a_coordinator_of_another_protocol_is_refused_with_what_to_do(api: CoordinatorApi) -> None:
    plain = {"protocol": PROTOCOL + 1, "version": "9.9", "pid": 4711, "unknown": True}
    api.answers["GET /v1/cluster"] = (200, plain)
    with api.client() as client, pytest.raises(Mistake, match=r"clustertune 9\.9 .*`kill 4711`"):
        client.cluster()


def test_silence_is_an_error_after_the_timeout(api: CoordinatorApi) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        client = Coordinator(mute.getsockname()[1], TOKEN, timeout_s=0.05)
        with client, pytest.raises(CoordinatorUnreachable, match="does not answer"):
            client.cluster()


def test_nobody_there_is_an_error(api: CoordinatorApi) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with Coordinator(port, TOKEN) as client, pytest.raises(CoordinatorUnreachable, match="ConnectionRefusedError"):
        client.cluster()


def test_trials_are_fetched_by_the_page(api: CoordinatorApi) -> None:
    pages = [[row(0), row(1)], [row(2)], []]
    api.queue("GET /v1/experiments/digits/trials", *((200, page) for page in pages))
    with api.client() as client:
        assert [found.trial for found in client.all_trials("digits")] == [0, 1, 2]
    assert [request.query["offset"] for request in api.requests] == ["0", "2", "3"]


def test_the_last_attempts_log_is_asked_for_unless_one_is_named(api: CoordinatorApi) -> None:
    page = LogPage(attempt="digits:3:2", offset=0, next_offset=2, text="hi", end=False)
    api.answers["GET /v1/experiments/digits/trials/3/log"] = (200, page)
    with api.client() as client:
        assert client.log("digits", 3, offset=-100) == page
        client.log("digits", 3, attempt=1)
    assert [request.query.get("attempt") for request in api.requests] == [None, "1"]


def test_results_are_data_frames(api: CoordinatorApi) -> None:
    api.answers["GET /v1/experiments/digits/files/results.json"] = (200, b'{"state": "completed"}')
    api.answers["GET /v1/experiments/digits/files/trials.csv"] = (200, b"trial,value\n0,0.5\n1,0.25\n")
    api.answers["GET /v1/experiments/digits/files/reports.csv"] = (200, b"trial,resource,loss\n0,1,0.5\n")
    with api.client() as client:
        results = client.results("digits")
    assert results.summary == {"state": "completed"}
    assert results.trials["value"].min() == 0.25
    assert list(results.reports["resource"]) == [1]


def test_a_name_with_odd_characters_stays_one_part_of_the_path(api: CoordinatorApi) -> None:
    with api.client() as client, pytest.raises(Mistake, match=r"GET /v1/experiments/\.\.%2Fx"):
        client.experiment("../x")


def test_a_cluster_snapshot_needs_no_experiments(api: CoordinatorApi) -> None:
    with api.client() as client:
        assert client.cluster() == cluster()
