"""Two machines for each scenario that asks, and places where checkpoints may be kept."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import pytest

from tests.coordinator.storage import places
from tests.coordinator.storage.faulty_proxy import FaultyProxy
from tests.coordinator.storage.google_store import GoogleStore
from tests.scenarios.machines import Machines

if TYPE_CHECKING:
    from tests.conftest import TestHome


@dataclass
class Kept:
    """A storage: its URL (None: the coordinator's own disk), the keys held there, and what stands before it."""

    url: str | None
    held: Callable[[], list[str]]
    proxy: FaultyProxy | None = None


@pytest.fixture
def machines(home: TestHome) -> Iterator[Machines]:
    found = Machines(home)
    yield found
    found.reap()


@pytest.fixture(scope="session")
def moto_port() -> Iterator[int]:
    with contextlib.ExitStack() as opened:
        with pytest.MonkeyPatch.context() as patch:
            patch.delenv("CLUSTERTUNE_HOME", raising=False)  # else it looks like a part of the first test's home
            port = opened.enter_context(places.moto())
        yield port


@pytest.fixture
def storage(request: pytest.FixtureRequest, home: TestHome, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kept]:
    """Of the kind that the test names, by parametrizing this indirectly."""
    with contextlib.ExitStack() as opened:
        name, folder = request.node.nodeid, Path(tempfile.mkdtemp(prefix="ct-storage-"))
        opened.callback(shutil.rmtree, folder)
        if request.param == "own":
            found = Kept(None, lambda: _files(home.cluster.path / "checkpoints"))
            environment: dict[str, str] = {}
        elif request.param == "folder":
            found, environment = Kept(str(folder), lambda: _files(folder)), {}
        elif request.param == "s3":
            place = opened.enter_context(places.s3(request.getfixturevalue("moto_port"), name))
            found, environment = Kept(place.url, lambda: _s3_keys(place), place.proxy), place.environment
        else:
            store = GoogleStore()
            opened.callback(store.close)
            place = opened.enter_context(places.google(store, name, folder))
            bucket = store.buckets[places.bucket_name(name)]
            found, environment = Kept(place.url, lambda: list(bucket), place.proxy), place.environment
        for key in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "GOOGLE_APPLICATION_CREDENTIALS", "http_proxy", "HTTP_PROXY"):
            monkeypatch.delenv(key, raising=False)
        for key, value in environment.items():
            monkeypatch.setenv(key, value)
        yield found


def _files(folder: Path) -> list[str]:
    return [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()]


def _s3_keys(place: places.Place) -> list[str]:
    client = boto3.client(
        "s3",
        endpoint_url=place.environment["AWS_ENDPOINT_URL"],
        aws_access_key_id=place.environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=place.environment["AWS_SECRET_ACCESS_KEY"],
        region_name=place.environment["AWS_REGION"],
    )
    with contextlib.closing(client):
        found = client.list_objects_v2(Bucket=place.url.split("/")[2])
    return [entry["Key"] for entry in found.get("Contents", [])]
