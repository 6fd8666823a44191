"""The fixture of real machines: as many as a test asks for, all gone after it."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.machines.image import Image
from tests.machines.machine import Machine
from tests.machines.rack import Rack, why_not


class Machines:
    """``machines(3, shell="/bin/dash")`` gives three that answer; what may be said of them is in Image."""

    def __init__(self, rack: Rack) -> None:
        self.rack, self.key = rack, rack.key

    def __call__(self, count: int = 1, **image: object) -> list[Machine]:
        return self.rack.make(count, Image(**image))  # type: ignore[arg-type]

    def one(self, **image: object) -> Machine:
        return self(1, **image)[0]


@pytest.fixture(scope="session")
def rack() -> Iterator[Rack]:
    reason = why_not()
    if reason is not None and os.environ.get("CI", "").lower() == "true":
        pytest.fail(f"{reason}; with CI=true tests that need them may not be left out")
    if reason is not None:
        pytest.skip(reason)
    found = Rack()
    try:
        yield found
    finally:
        found.close()


@pytest.fixture
def ssh_machines(rack: Rack) -> Iterator[Machines]:
    yield Machines(rack)
    rack.remove_all()
