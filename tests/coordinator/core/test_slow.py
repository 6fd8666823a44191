"""A slow searcher that goes wrong is named, wherever it lives."""

from __future__ import annotations

import re
from typing import Any

import pytest

from clustertune.coordinator.core.slow import Asked
from clustertune.model.parameters import Float
from clustertune.model.space import Space
from clustertune.search.blame import BrokenPlugin
from tests.coordinator.core.wayward import Options, WaywardSlowSearcher

SPACE = Space({"lr": Float(0.0, 1.0)})


def asked(**options: Any) -> Asked:
    searcher = WaywardSlowSearcher(space=SPACE, seed=0, initial=(), options=Options(**options))
    return Asked(searcher, "wayward-slow", SPACE, lambda name: f"{name} 0.1")  # type: ignore[arg-type]


def test_what_it_proposes_is_plain_and_of_the_space() -> None:
    (found,) = asked(answers="config of NumPy", method="propose").propose(1)
    assert (found, type(found["lr"])) == ({"lr": 0.5}, float)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"raises": "propose"}, "raised ZeroDivisionError: in propose in propose (wayward.py, line "),
        ({"answers": "config outside", "method": "propose"}, "lr: must lie from 0 to 1, found 5.0"),
        ({"answers": "nothing", "method": "propose"}, "a configuration is wanted, which maps names to values"),
    ],
)
def test_what_nobody_can_use_is_told_of(options: dict[str, Any], told: str) -> None:
    who = "the searcher wayward-slow (of package wayward-slow 0.1) "
    with pytest.raises(BrokenPlugin, match=rf"^{re.escape(who)}.*{re.escape(told)}"):
        asked(**options).propose(1)


def test_what_it_raises_when_it_is_told_something_is_told_of() -> None:
    with pytest.raises(BrokenPlugin, match=r"raised ZeroDivisionError: in observe in what it was told \(wayward.py"):
        asked(raises="observe").tell([("created", 0, {"lr": 0.5}), ("observe", 0, 1, 0.5)])
