"""What is said of an algorithm that went wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest

from clustertune.search import blame


class Ours:
    """Its package is that of these tests."""

    def here(self) -> None:
        raise LookupError("no such\n   rung")

    def elsewhere(self) -> Any:
        return json.loads("{")

    def long(self) -> None:
        raise LookupError("x" * 1000)


class Unspeakable:
    def __repr__(self) -> str:
        raise ValueError("even this")


def caught(method: str) -> Exception:
    with pytest.raises(Exception) as raised:
        getattr(Ours(), method)()
    error: Exception = raised.value
    return error


def line_of(method: str, within: int) -> int:
    return int(getattr(Ours, method).__code__.co_firstlineno) + within


def test_it_is_named_with_its_package_method_and_line() -> None:
    who = blame.named("scheduler", "halfway", "mine 0.1")
    assert blame.raised(who, caught("here"), "on_report", Ours()) == (
        "the scheduler halfway (of package mine 0.1) raised LookupError: no such rung in on_report "
        f"(test_blame.py, line {line_of('here', 1)})"
    )


def test_the_line_is_of_its_own_package_whatever_it_called() -> None:
    said = blame.raised("it", caught("elsewhere"), "next", Ours)
    assert said.endswith(f"in next (test_blame.py, line {line_of('elsewhere', 1)})")


def test_one_of_ours_is_to_be_reported() -> None:
    assert blame.named("searcher", "random", "") == "the searcher random (of clustertune itself: please report it)"


def test_a_long_message_is_cut_and_the_trace_ends_with_the_error() -> None:
    error = caught("long")
    assert len(blame.raised("it", error, "next", Ours())) < 400
    assert blame.trace(error).rstrip().endswith("xxx")
    assert len(blame.trace(error)) <= 4000


def test_an_answer_that_cannot_be_shown_is_told_by_its_type() -> None:
    said = blame.answered("it", Unspeakable(), "here", Ours(), "no")
    assert said == f"it answered <Unspeakable> in here (test_blame.py, line {line_of('here', 0)}): no"


def test_what_has_no_source_is_told_without_a_line() -> None:
    assert blame.answered("it", 3, "append", [], "no") == "it answered 3 in append: no"
