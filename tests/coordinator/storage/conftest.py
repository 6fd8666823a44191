"""Each kind of storage for each test that asks, with an agent at its door."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from clustertune.coordinator.storage.opening import open_storage
from tests.coordinator.storage import places
from tests.coordinator.storage.google_store import GoogleStore
from tests.coordinator.storage.house import House, house
from tests.coordinator.storage.places import Place


@pytest.fixture(scope="session")
def moto_port() -> Iterator[int]:
    with places.moto() as port:
        yield port


@pytest.fixture(scope="session")
def google_store() -> Iterator[GoogleStore]:
    store = GoogleStore()
    yield store
    store.close()


@pytest.fixture
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No credentials of whoever runs the tests."""
    for name in (
        "AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_S3", "AWS_DEFAULT_REGION", "GOOGLE_BUCKET", "AWS_BUCKET",
        "GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_SERVICE_ACCOUNT_KEY", "HTTP_PROXY", "http_proxy", "ALL_PROXY",
    ):  # fmt: skip
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def place(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clean_environment: None
) -> Iterator[Place]:
    """Of the kind that the test names, by parametrizing this indirectly."""
    with contextlib.ExitStack() as opened:
        name = request.node.nodeid
        if request.param == "folder":
            found = Place(url=str(tmp_path / "kept"))
        elif request.param == "s3":
            found = opened.enter_context(places.s3(request.getfixturevalue("moto_port"), name))
        else:
            store = request.getfixturevalue("google_store")
            found = opened.enter_context(places.google(store, name, tmp_path))
        for key, value in found.environment.items():
            monkeypatch.setenv(key, value)
        yield found


@pytest.fixture
def short_path() -> Iterator[Path]:
    """Socket paths are short, and pytest's own folders are long."""
    path = Path(tempfile.mkdtemp(prefix="ct-"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def depot_house(place: Place, short_path: Path, tmp_path: Path) -> Iterator[House]:
    with house(open_storage(place.url, tmp_path), short_path / "files.sock") as built:
        yield built
