"""Patterns as git reads them, in the corners that a user meets once a year."""

from __future__ import annotations

import re

import pytest

from clustertune.client.ignore_patterns import IgnorePatterns
from clustertune.client.wildmatch import MatchesNothing, regex_of


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("*.py", ["a.py", ".py"], ["a.pyc", "d/a.py", "a.py\n"]),
        ("a/**", ["a/b", "a/b/c"], ["a", "ab"]),
        ("**/a", ["a", "b/a", "b/c/a"], ["ba", "a/b"]),
        ("a/**/b", ["a/b", "a/x/b", "a/x/y/b"], ["ab", "a/xb"]),
        ("x*/a**/b", ["x/a/b", "xx/ab/b"], ["x/a/c/b"]),
        ("a?c", ["abc"], ["ac", "a/c"]),
        ("[a-c]", ["a", "b", "c"], ["d", "-", ""]),
        ("[!a]", ["b", "-"], ["a", "/"]),
        ("[a-]", ["a", "-"], ["b"]),
        ("[]a]", ["]", "a"], ["["]),
        ("[a\\]b]", ["a", "]", "b"], ["\\"]),
        ("[c-a]", ["c"], ["a", "b"]),
        ("[[:digit:]x]", ["1", "x"], ["a", ":"]),
        ("\\*", ["*"], ["a", "\\*"]),
    ],
)
def test_a_pattern_matches_what_it_does_for_git(pattern: str, matching: list[str], others: list[str]) -> None:
    regex = re.compile(regex_of(pattern), re.DOTALL)
    assert [text for text in [*matching, *others] if regex.match(text)] == matching


@pytest.mark.parametrize("pattern", ["[a", "a\\", "[", "[[:nothing:]]", "[a-\\", "[!"])
def test_a_broken_pattern_matches_nothing(pattern: str) -> None:
    with pytest.raises(MatchesNothing):
        regex_of(pattern)


def test_the_last_pattern_that_matches_decides() -> None:
    patterns = IgnorePatterns(b"*.log\n!keep.log\n/sub/keep.log\n")
    told = [patterns.leaves_out(path, path.rpartition("/")[2], is_folder=False) for path in ("a.log", "keep.log", "b")]
    assert told == [True, False, None]
    assert patterns.leaves_out("sub/keep.log", "keep.log", is_folder=False) is True
    assert patterns.leaves_out("other/keep.log", "keep.log", is_folder=False) is False


def test_hundreds_of_patterns_are_one_question() -> None:
    patterns = IgnorePatterns("\n".join(f"name{number}*.tmp" for number in range(1000)).encode() + b"\n!name999x.tmp")
    assert patterns.leaves_out("d/name500x.tmp", "name500x.tmp", is_folder=False) is True
    assert patterns.leaves_out("d/name999x.tmp", "name999x.tmp", is_folder=False) is False
