"""A server of canned answers for each test that asks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.client.coordinator_api import CoordinatorApi, serving


@pytest.fixture
def api() -> Iterator[CoordinatorApi]:
    with serving() as server:
        yield server
