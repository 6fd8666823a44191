"""What every kind of storage does, as an agent and the coordinator see it."""

from __future__ import annotations

import asyncio
import concurrent.futures
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

from clustertune.coordinator.storage.checkpoints import PROMISE_S, Checkpoints
from clustertune.coordinator.storage.contracts import Storage
from clustertune.coordinator.storage.folder import FolderObjects
from clustertune.coordinator.storage.opening import open_storage
from clustertune.model.errors import NoSuchName, PartsMissing, StorageRefused, StorageUnavailable
from tests.coordinator.storage.house import EXPERIMENT_ID, House, checkpoint, house
from tests.coordinator.storage.places import Place

everywhere = pytest.mark.parametrize("place", ["folder", "s3", "google"], indirect=True)
in_buckets = pytest.mark.parametrize("place", ["s3", "google"], indirect=True)

ANOTHER_ID = "digits-2-1763712000001"


class SetClock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def monotonic_s(self) -> float:
        return self.now_s

    def wall_s(self) -> float:
        return self.now_s


@everywhere
def test_what_an_agent_stores_another_fetches_byte_by_byte(depot_house: House) -> None:
    manifest, content = checkpoint(b"first" * 1000, b"second", os.urandom(300_000))
    depot_house.agent.store(manifest, content)
    assert depot_house.depot.journaled == [("digits:3:1", manifest.digest())]
    assert depot_house.agent.fetch(manifest.digest()) == content
    assert depot_house.run(depot_house.storage.manifest(EXPERIMENT_ID, manifest.digest())) == manifest.encode()


@everywhere
def test_a_storage_that_can_be_written_read_and_deleted_passes_the_check_and_keeps_nothing_of_it(
    depot_house: House, place: Place, google_store: Any
) -> None:
    depot_house.run(depot_house.storage.check())
    if place.url.startswith("gs:"):
        assert google_store.buckets[place.url.split("/")[2]] == {}


@everywhere
def test_an_unchanged_part_is_not_sent_again(depot_house: House) -> None:
    first, content = checkpoint(b"same", b"old")
    depot_house.agent.store(first, content)
    second, more = checkpoint(b"same", b"new")
    assert [part["digest"] for part in depot_house.agent.announce(second)] == [hashlib.sha256(b"new").hexdigest()]
    depot_house.agent.store(second, more)
    assert len(depot_house.agent.sent) == 3
    assert depot_house.agent.fetch(second.digest()) == more


@everywhere
def test_a_transfer_that_broke_off_goes_on_with_the_parts_that_are_missing(depot_house: House) -> None:
    manifest, content = checkpoint(*(bytes([number]) * 1000 for number in range(6)))
    depot_house.agent.put(depot_house.agent.announce(manifest)[:3], content)
    status, answer = depot_house.agent.whole(manifest)
    assert (status, len(answer["missing"])) == (409, 3)
    assert "error" in answer
    assert depot_house.depot.journaled == []
    depot_house.agent.put(answer["missing"], content)
    assert depot_house.agent.whole(manifest)[0] == 200
    assert sorted(depot_house.agent.sent) == sorted(content)


@everywhere
def test_a_part_of_another_size_counts_as_missing(depot_house: House) -> None:
    _, content = checkpoint(b"x" * 100)
    (digest,) = content
    manifest, _ = checkpoint(b"x" * 100)
    depot_house.agent.put(depot_house.agent.announce(manifest), content)
    wrong = {digest: 101}
    assert [put.size_bytes for put in depot_house.run(depot_house.storage.missing(EXPERIMENT_ID, wrong))] == [101]


@everywhere
def test_a_checkpoint_with_a_part_missing_is_not_whole(depot_house: House) -> None:
    manifest, content = checkpoint(b"here", b"not here")
    depot_house.agent.put(depot_house.agent.announce(manifest)[:1], content)
    with pytest.raises(PartsMissing) as missing:
        depot_house.run(depot_house.storage.keep(EXPERIMENT_ID, manifest))
    assert len(missing.value.parts) == 1
    with pytest.raises(NoSuchName):
        depot_house.run(depot_house.storage.manifest(EXPERIMENT_ID, manifest.digest()))


@everywhere
def test_dropping_a_checkpoint_leaves_the_parts_that_others_share(depot_house: House) -> None:
    (old, old_content), (new, new_content) = checkpoint(b"shared", b"old"), checkpoint(b"shared", b"new")
    depot_house.agent.store(old, old_content)
    depot_house.agent.store(new, new_content)
    depot_house.run(depot_house.storage.drop(EXPERIMENT_ID, old.digest(), [new.digest()]))
    assert depot_house.agent.fetch(new.digest()) == new_content
    assert depot_house.agent.ask("GET", f"/v1/experiments/digits/checkpoints/{old.digest()}")[0] == 404
    left = {part.digest for part in depot_house.run(depot_house.storage.missing(EXPERIMENT_ID, old.parts))}
    assert left == {hashlib.sha256(b"old").hexdigest()}


@everywhere
def test_dropping_may_be_repeated(depot_house: House) -> None:
    manifest, content = checkpoint(b"one")
    depot_house.agent.store(manifest, content)
    for _ in range(2):
        depot_house.run(depot_house.storage.drop(EXPERIMENT_ID, manifest.digest(), []))
    assert len(depot_house.agent.announce(manifest)) == 1


@everywhere
def test_a_drop_spares_what_a_transfer_under_way_was_told_to_be_there(depot_house: House) -> None:
    old, content = checkpoint(b"shared", b"old")
    depot_house.agent.store(old, content)
    new, more = checkpoint(b"shared", b"new")
    missing = depot_house.agent.announce(new)
    depot_house.run(depot_house.storage.drop(EXPERIMENT_ID, old.digest(), []))
    depot_house.agent.put(missing, more)
    assert depot_house.agent.whole(new)[0] == 200
    assert depot_house.agent.fetch(new.digest()) == more


@everywhere
def test_a_drop_that_does_not_know_a_new_checkpoint_yet_spares_its_parts(depot_house: House) -> None:
    old, content = checkpoint(b"shared", b"old")
    depot_house.agent.store(old, content)
    new, more = checkpoint(b"shared", b"new")
    depot_house.agent.store(new, more)
    depot_house.run(depot_house.storage.drop(EXPERIMENT_ID, old.digest(), []))
    assert depot_house.agent.fetch(new.digest()) == more


@everywhere
def test_dropping_an_experiment_leaves_nothing_of_it_and_all_of_the_others(depot_house: House, place: Place) -> None:
    manifest, content = checkpoint(b"one", b"two")
    depot_house.agent.store(manifest, content)
    depot_house.agent.announce(checkpoint(b"three")[0])
    depot_house.run(depot_house.storage.drop_all(ANOTHER_ID))
    assert depot_house.agent.fetch(manifest.digest()) == content
    depot_house.run(depot_house.storage.drop_all(EXPERIMENT_ID))
    assert len(depot_house.agent.announce(manifest)) == 2
    with pytest.raises(NoSuchName):
        depot_house.run(depot_house.storage.manifest(EXPERIMENT_ID, manifest.digest()))
    if place.proxy is None:
        assert list(Path(place.url).iterdir()) == []


@everywhere
def test_many_agents_may_store_the_same_and_other_things_at_once(depot_house: House) -> None:
    made = [checkpoint(b"the same" * 5000, bytes([number % 4]) * 9000) for number in range(12)]
    with concurrent.futures.ThreadPoolExecutor(12) as threads:
        for done in [
            threads.submit(depot_house.agent.store, manifest, content, f"digits:{number}:1")
            for number, (manifest, content) in enumerate(made)
        ]:
            done.result(60)
    for manifest, content in made:
        assert depot_house.agent.fetch(manifest.digest()) == content


@everywhere
def test_saying_that_it_is_whole_may_be_repeated_also_when_the_coordinator_began_anew(
    depot_house: House, place: Place, tmp_path: Path
) -> None:
    manifest, content = checkpoint(b"one")
    depot_house.agent.store(manifest, content)
    assert depot_house.agent.whole(manifest)[0] == 200
    depot_house.depot.storage = open_storage(place.url, tmp_path)
    assert depot_house.agent.whole(manifest, "digits:9:1")[0] == 200
    unknown, _ = checkpoint(b"never announced")
    status, answer = depot_house.agent.whole(unknown)
    assert (status, "send it again" in answer["error"]) == (412, True)


@pytest.mark.parametrize("place", ["folder"], indirect=True)
def test_what_a_broken_transfer_left_goes_after_an_hour(place: Place, tmp_path: Path) -> None:
    clock, folder = SetClock(), Path(place.url)
    with house(Checkpoints(FolderObjects(folder), clock), folder.parent / "s") as built:
        kept, content = checkpoint(b"kept")
        built.agent.store(kept, content)
        gone, more = checkpoint(b"gone")
        built.agent.put(built.agent.announce(gone), more)
        left = folder / EXPERIMENT_ID / "parts" / next(iter(more))
        built.run(built.storage.drop(EXPERIMENT_ID, gone.digest(), [kept.digest()]))
        assert left.exists()
        clock.now_s = PROMISE_S + 1
        os.utime(left, (0, 0))
        os.utime(folder / EXPERIMENT_ID / "parts" / next(iter(content)), (0, 0))
        built.run(built.storage.drop(EXPERIMENT_ID, gone.digest(), [kept.digest()]))
        assert not left.exists()
        assert built.agent.fetch(kept.digest()) == content


@in_buckets
def test_a_store_that_fails_for_a_moment_is_asked_again(depot_house: House, place: Place) -> None:
    assert place.proxy is not None
    manifest, content = checkpoint(b"one")
    missing = depot_house.agent.announce(manifest)
    depot_house.agent.put(missing, content)
    place.proxy.failing = [503, 500]
    assert depot_house.agent.whole(manifest)[0] == 200


@in_buckets
@pytest.mark.parametrize("status", [500, 503, 0])
def test_a_store_that_goes_on_failing_is_told_of_and_used_again_when_it_works(
    status: int, depot_house: House, place: Place
) -> None:
    assert place.proxy is not None
    manifest, content = checkpoint(b"one")
    depot_house.agent.put(depot_house.agent.announce(manifest), content)
    place.proxy.always = status
    found, answer = depot_house.agent.whole(manifest)
    assert (found, set(answer)) == (503, {"error"})
    assert place.url in answer["error"]
    assert "sekret" not in answer["error"]
    assert depot_house.depot.journaled == []
    place.proxy.always = None
    assert depot_house.agent.whole(manifest)[0] == 200


@in_buckets
def test_a_store_that_is_not_there_is_unavailable(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    if place.url.startswith("gs:"):
        path = Path(place.environment["GOOGLE_SERVICE_ACCOUNT"])
        path.write_text(json.dumps({**json.loads(path.read_text()), "gcs_base_url": "http://127.0.0.1:1"}))
    storage = open_storage(place.url, Path("/"))
    with pytest.raises(StorageUnavailable, match="error sending request"):
        asyncio.run(storage.check())


@in_buckets
def test_a_bucket_that_is_not_there_is_refused_with_its_remedy(place: Place) -> None:
    storage = open_storage(place.url.replace("//b-", "//c-"), Path("/"))
    assert "there is no such bucket" in _refusal(storage)


def test_wrong_credentials_are_refused_with_their_remedy_and_not_shown(
    google_store: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clean_environment: None
) -> None:
    monkeypatch.setenv("GOOGLE_SERVICE_ACCOUNT", str(tmp_path / "nothing.json"))
    with pytest.raises(StorageRefused, match="no credentials were found"):
        open_storage("gs://bucket", Path("/"))


@pytest.mark.parametrize("place", ["s3"], indirect=True)
def test_credentials_that_may_not_write_are_refused(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    assert place.proxy is not None
    place.proxy.always = 403
    refusal = _refusal(open_storage(place.url, Path("/")))
    assert "grant reading, writing" in refusal
    assert "sekret" not in refusal


@pytest.mark.parametrize("place", ["s3"], indirect=True)
def test_a_plain_http_endpoint_must_be_allowed(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ALLOW_HTTP")
    assert "AWS_ALLOW_HTTP=true" in _refusal(open_storage(place.url, Path("/")))


@pytest.mark.parametrize("place", ["google"], indirect=True)  # moto verifies no signatures
def test_signed_urls_are_for_one_thing_only(depot_house: House) -> None:
    (part,) = depot_house.agent.announce(checkpoint(b"one")[0])
    assert depot_house.agent.ask("GET", part["url"])[0] == 403
    assert depot_house.agent.ask("PUT", part["url"].replace("/parts/", "/manifests/"), b"x")[0] == 403


def _refusal(storage: Storage) -> str:
    with pytest.raises(StorageRefused) as refused:
        asyncio.run(storage.check())
    return str(refused.value)


@everywhere
def test_when_all_is_over_nothing_but_what_is_kept_is_left_however_young(depot_house: House) -> None:
    best, content = checkpoint(b"best", b"shared")
    depot_house.agent.store(best, content)
    other, more = checkpoint(b"other", b"shared")
    depot_house.agent.store(other, more)
    broken, _ = checkpoint(b"never whole" * 100)
    [put] = depot_house.run(depot_house.storage.missing(EXPERIMENT_ID, broken.parts))
    depot_house.run(depot_house.storage.settle(EXPERIMENT_ID, {best.digest()}))
    assert depot_house.agent.fetch(best.digest()) == content
    with pytest.raises(NoSuchName):
        depot_house.run(depot_house.storage.manifest(EXPERIMENT_ID, other.digest()))
    left = depot_house.run(depot_house.storage.missing(EXPERIMENT_ID, {**best.parts, **other.parts}))
    assert {found.digest for found in left} == set(other.parts) - set(best.parts)
    assert put.digest in broken.parts
