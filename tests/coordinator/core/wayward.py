"""Algorithms that go wrong where they are told to, and the package that brings them."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from clustertune.model.space import Space
from clustertune.model.trial import Config, TrialState, Value
from clustertune.search.contracts import Clone, Decision, Next, ResumeTrial, StartNew, StopPausedTrial

ROOT = Path(__file__).parents[3]


class Untouchable(dict[str, Any]):
    """As a tensor of several items, and worse."""

    def item(self) -> Any:
        raise RuntimeError("a Tensor with 2 elements cannot be converted to Scalar")

    def items(self) -> Any:
        raise RuntimeError("not this time")

    def __iter__(self) -> Any:
        raise RuntimeError("nor this")

    def __repr__(self) -> str:
        raise RuntimeError("nor that")


ANSWERS: Mapping[str, Callable[[], Any]] = {
    "nothing": lambda: None,
    "text": lambda: "stop",
    "unknown trial": lambda: ResumeTrial(77),
    "running trial": lambda: ResumeTrial(0),
    "dismissed while it runs": lambda: StopPausedTrial(0),
    "half a trial": lambda: ResumeTrial(0.5),  # type: ignore[arg-type]
    "outside": lambda: StartNew({"lr": 5.0}),
    "pause": lambda: Decision.PAUSE,
    "clone of nobody": lambda: Clone(77, {"lr": 0.5}),
    "clone outside": lambda: Clone(0, {"lr": 5.0}),
    "half a level": lambda: 1.5,
    "a NumPy level": lambda: np.int64(3),
    "config outside": lambda: {"lr": 5.0},
    "config without values": dict,
    "config with more": lambda: {"lr": 0.5, "momentum": 0.5},
    "config of arrays": lambda: {"lr": np.array([0.1, 0.2])},
    "config of tensors": lambda: {"lr": Untouchable()},
    "config of numbers": lambda: {0: 0.5},  # type: ignore[dict-item]
    "what raises wherever it is touched": Untouchable,
    "config of NumPy": lambda: {"lr": np.float32(0.5)},
}


@dataclass(frozen=True)
class Options:
    """``raises`` names the method that does, once ``after`` calls of it went well; ``answers`` goes the same way."""

    raises: str = ""
    answers: str = ""
    method: str = ""
    after: int = 0
    may_pause: bool = False


class Wayward:
    """What both do."""

    Options = Options
    changed: ClassVar[str] = ""
    """The method that raises in every instance, as if the package had another version now."""

    asked: ClassVar[list[str]] = []
    """What any instance was asked or told."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._calls: dict[str, int] = {}
        self._meet("__init__")

    def _meet(self, method: str) -> Any:
        """None, or the answer to give in place of a sensible one."""
        self.asked.append(method)
        count = self._calls[method] = self._calls.get(method, 0) + 1
        if method == Wayward.changed or (method == self._options.raises and count > self._options.after):
            raise ZeroDivisionError(f"in {method}")
        return method == self._options.method and count > self._options.after


class WaywardSearcher(Wayward):
    """Tries a hundredth more each time."""

    def __init__(self, *, space: Space, seed: int, initial: Sequence[Mapping[str, Value]], options: Options) -> None:
        super().__init__(options)

    def suggest(self, trial: int) -> Config:
        return ANSWERS[self._options.answers]() if self._meet("suggest") else {"lr": trial / 100}  # type: ignore[no-any-return]

    def created(self, trial: int, config: Config) -> None:
        self._meet("created")

    def observe(self, trial: int, resource: int, loss: float) -> None:
        self._meet("observe")

    def forget(self, trial: int) -> None:
        self._meet("forget")


class WaywardSlowSearcher(WaywardSearcher):
    """Takes its time for that."""

    @staticmethod
    def design(options: Options, *, space: Space) -> int:
        return 1

    def propose(self, count: int) -> list[Any]:
        return [ANSWERS[self._options.answers]() if self._meet("propose") else {"lr": 0.5} for _ in range(count)]


class WaywardScheduler(Wayward):
    """Lets every trial go on."""

    def __init__(self, *, min_resource: int, max_resource: int | None, seed: int, options: Options) -> None:
        super().__init__(options)

    @staticmethod
    def pauses(options: Options) -> bool:
        return options.may_pause

    def next(self) -> Next:
        return ANSWERS[self._options.answers]() if self._meet("next") else StartNew()  # type: ignore[no-any-return]

    def target(self, trial: int) -> int | None:
        return ANSWERS[self._options.answers]() if self._meet("target") else 2  # type: ignore[no-any-return]

    def on_report(self, trial: int, resource: int, loss: float) -> Decision | Clone:
        return ANSWERS[self._options.answers]() if self._meet("on_report") else Decision.CONTINUE  # type: ignore[no-any-return]

    def on_create(self, trial: int, config: Config) -> None:
        self._meet("on_create")

    def on_no_more(self) -> None:
        self._meet("on_no_more")

    def on_end(self, trial: int, state: TrialState) -> None:
        self._meet("on_end")


def install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The package, for this process and those that it starts; what to delete to be rid of it."""
    folder.mkdir(exist_ok=True)
    monkeypatch.syspath_prepend(folder)
    inherited = os.environ.get("PYTHONPATH")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), str(ROOT), *([inherited] if inherited else [])]))
    monkeypatch.setattr(Wayward, "asked", [])
    return put(folder)


def put(folder: Path) -> Path:
    """The package's metadata into a folder that is looked into."""
    here = "tests.coordinator.core.wayward"
    info = folder / "wayward-0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: wayward\nVersion: 0.1\n")
    (info / "entry_points.txt").write_text(
        f"[clustertune.searchers]\nwayward = {here}:WaywardSearcher\nwayward-slow = {here}:WaywardSlowSearcher\n"
        f"[clustertune.schedulers]\nwayward = {here}:WaywardScheduler\n"
    )
    importlib.invalidate_caches()
    return info
