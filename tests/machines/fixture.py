"""The fixtures of machines: as many as a test asks for, all gone after it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol, cast

import pytest

from tests.machines.image import Image
from tests.machines.in_process import InProcessMachine
from tests.machines.machine import Machine
from tests.machines.rack import Rack, why_not, write_key


class Place(Protocol):
    """Where machines stand: a rack, or this process."""

    key: Path

    def make(self, count: int, image: Image) -> list[Machine]: ...
    def remove_all(self) -> None: ...
    def close(self) -> None: ...


class Machines:
    """``machines(3, shell="/bin/dash")`` gives three that answer; what may be said of them is in Image."""

    def __init__(self, place: Place) -> None:
        self.place, self.key = place, place.key

    def __call__(self, count: int = 1, **image: object) -> list[Machine]:
        return self.place.make(count, Image(**image))  # type: ignore[arg-type]

    def one(self, **image: object) -> Machine:
        return self(1, **image)[0]


class ThisProcess:
    """Machines for where there are no namespaces; ``why`` says why there are none."""

    def __init__(self, why: str) -> None:
        self.why = why
        self._folder = tempfile.TemporaryDirectory(prefix="ct-")
        self._standing: list[InProcessMachine] = []
        self._made = 0
        self.key = Path(self._folder.name, "key")
        write_key(self.key)

    def make(self, count: int, image: Image) -> list[Machine]:
        for _ in range(count):
            self._made += 1
            folder = Path(self._folder.name, str(self._made))
            self._standing.append(InProcessMachine(folder, self.key, image, self.why))
            self._standing[-1].start()
        # What it lacks of a machine skips the test that asks for it.
        return cast("list[Machine]", self._standing[-count:])

    def remove_all(self) -> None:
        while self._standing:
            self._standing.pop().remove()

    def close(self) -> None:
        self.remove_all()
        self._folder.cleanup()


@pytest.fixture(scope="session")
def rack() -> Iterator[Place]:
    why = why_not()
    if why is not None and os.environ.get("CI", "").lower() == "true":
        pytest.fail(f"{why}; with CI=true tests that need them may not be left out")
    place: Place = Rack() if why is None else ThisProcess(why)
    try:
        yield place
    finally:
        place.close()


@pytest.fixture
def any_machines(rack: Place) -> Iterator[Machines]:
    """For tests that can do with machines in this process, where there are no real ones."""
    try:
        yield Machines(rack)
    finally:
        rack.remove_all()


@pytest.fixture
def ssh_machines(any_machines: Machines) -> Machines:
    """Real ones; where there can be none, the test is left out."""
    if isinstance(any_machines.place, ThisProcess):
        pytest.skip(any_machines.place.why)
    return any_machines
