"""Numbers in text: patterns, and lines of JSON."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustertune.agent.metric_text import JsonLineReader, PatternReader, as_level
from clustertune.model.messages import MetricPattern


def patterns(**regexes):
    return PatternReader([MetricPattern(name, regex) for name, regex in regexes.items()], "loss", "epoch")


def test_a_report_is_complete_when_the_objective_was_found():
    reader = patterns(loss=r"loss (\S+)", accuracy=r"acc (?P<value>\S+)")
    assert reader.line("acc 0.5").report is None
    assert reader.line("loss 2e-1").report == (1, {"accuracy": 0.5, "loss": 0.2})
    assert reader.line("loss 1").report == (2, {"loss": 1.0})


def test_the_resource_is_the_last_one_found_else_counted_on():
    reader = patterns(loss=r"loss (\S+)", epoch=r"epoch (\d+)")
    assert reader.line("epoch 4 loss 1").report == (4, {"loss": 1.0})
    assert reader.line("loss 1").report == (5, {"loss": 1.0})
    reader.line("epoch 9")
    assert reader.line("loss 1").report == (9, {"loss": 1.0})


def test_what_matches_and_is_no_number_is_a_notice():
    reader = patterns(loss=r"loss (\S+)", epoch=r"epoch (\S+)")
    found = reader.line("loss low epoch 1.5")
    assert found.report is None
    assert len(found.notices) == 2
    assert math.isnan(reader.line("loss nan epoch 2").report[1]["loss"])


@pytest.mark.parametrize("regex", ["loss", "(a)(b)", "("])
def test_a_pattern_without_its_one_group_is_refused(regex):
    with pytest.raises(ValueError, match="the pattern of loss"):
        patterns(loss=regex)


PIECES = st.sampled_from(
    ["loss 0.5", "loss nan", "loss low", "loss 1e999", "epoch 3", "epoch 2.0", "epoch 1e3", "epoch -1", "epoch nan",
     "epoch 9007199254740991", "epoch 9007199254740992", "epoch 9007199254740993", "acc 1_0", "acc", "nothing", ""]
)  # fmt: skip
LINES = st.lists(st.lists(PIECES, max_size=4).map(" ".join), max_size=30)
REGEXES = {"loss": r"loss (\S+)", "epoch": r"epoch (\S+)", "acc": r"acc(?: (?P<value>\S+))?"}


@given(LINES, st.lists(st.sampled_from(sorted(REGEXES)), min_size=1, max_size=4), st.integers(0, 30))
def test_many_lines_at_once_give_what_each_alone_does(lines, names, cut):
    def reader():
        return PatternReader([MetricPattern(name, REGEXES[name]) for name in names], "loss", "epoch")

    alone, together = reader(), reader()
    found = [alone.line(line) for line in lines]
    batches = [together.lines(lines[:cut]), together.lines(lines[cut:])]
    reports = [level for batch in batches for level in batch.reports]
    assert repr(reports) == repr([one.report for one in found if one.report])
    assert [notice for batch in batches for notice in batch.notices] == [n for one in found for n in one.notices]
    assert together.why_nothing() == alone.why_nothing()


def test_lines_beyond_those_that_are_kept_are_counted_and_matched():
    reader = patterns(loss=r"loss (\S+)")
    assert reader.lines(["nothing"] * 30_000).reports == []
    assert reader.why_nothing().startswith("30000 lines seen")
    assert reader.lines(["loss 1", "loss 2"]).reports == [(1, {"loss": 1.0}), (2, {"loss": 2.0})]
    assert reader.why_nothing() == ""


def test_json_lines_carry_their_level_or_are_counted():
    reader = JsonLineReader("epoch")
    found = reader.feed(b'{"loss": 1}\n{"loss": 2, "epoch": 7}\n{"loss": 3, "step": 9.0}\n{"loss": 4}\n')
    assert [one.report for one in found] == [
        (1, {"loss": 1.0}), (7, {"loss": 2.0}), (9, {"loss": 3.0}), (10, {"loss": 4.0}),
    ]  # fmt: skip


def test_json_that_is_no_report_is_a_notice():
    for line in (
        b"garbage",
        b"[1]",
        b'{"phase": "train"}',
        b'{"loss": 1, "step": -1}',
        b"[" * 100000,
        b'{"loss": true}',
    ):
        (found,) = JsonLineReader("epoch").feed(line + b"\n")
        assert found.report is None
        assert len(found.notices) == 1


@pytest.mark.parametrize("level", ["9223372036854775808", "1e22", "9007199254740993"])
def test_a_level_beyond_2_to_the_53rd_is_a_notice_and_does_not_move_the_count(level):
    reader = JsonLineReader("epoch")
    found = reader.feed(f'{{"loss": 1, "step": {level}}}\n{{"loss": 2}}\n'.encode())
    assert [one.report for one in found] == [None, (1, {"loss": 2.0})]
    assert "not a positive integer up to 2**53" in found[0].notices[0]
    found = patterns(loss=r"loss (\S+)", epoch=r"epoch (\S+)").line(f"epoch {level} loss 2")
    assert found.report is None
    assert "not a positive integer up to 2**53" in found.notices[0]


def test_nothing_is_counted_on_from_the_highest_level():
    found = JsonLineReader("epoch").feed(b'{"loss": 1, "step": 9007199254740992}\n{"loss": 2}\n')
    assert found[0].report == (2**53, {"loss": 1.0})
    assert (found[1].report, len(found[1].notices)) == (None, 1)
    reader = patterns(loss=r"loss (\S+)", epoch=r"epoch (\S+)")
    assert reader.line("epoch 9007199254740992 loss 1").report == (2**53, {"loss": 1.0})
    found = reader.line("loss 2")
    assert (found.report, len(found.notices)) == (None, 1)


def test_metric_names_are_bounded_and_can_be_encoded():
    line = json.dumps({"loss\ud800": 1, "n" * 201: 2, "ü" * 200: 3})
    (found,) = JsonLineReader("epoch").feed(line.encode() + b"\n")
    assert found.report == (1, {"loss\ufffd": 1.0, "ü" * 200: 3.0})
    assert "its name has 201 characters" in found.notices[0]


@given(st.lists(st.integers(1, 9), max_size=20))
def test_lines_are_whole_however_they_arrive(sizes):
    text = b"".join(b'{"loss": %d}\n' % number for number in range(12))
    reader, found, position = JsonLineReader("epoch"), [], 0
    for size in sizes:
        found += reader.feed(text[position : position + size])
        position += size
    found += reader.feed(text[position:-1])
    found += reader.feed(b"", last=True)
    assert [one.report for one in found] == [(number + 1, {"loss": float(number)}) for number in range(12)]


def test_levels_are_positive_integers():
    assert [as_level(value) for value in (1, 3.0, 2**53, 2.0**53)] == [1, 3, 2**53, 2**53]
    assert [as_level(value) for value in (10**400, 2**53 + 1, 2**63, 1e22)] == [None] * 4
    assert [as_level(value) for value in (0, -1, 1.5, math.nan, math.inf, True, "1", None)] == [None] * 8


def test_a_report_whose_level_cannot_be_read_is_left_out_and_the_next_keeps_its_own():
    reader = patterns(loss=r"loss=(\S+)", epoch=r"epoch=(\S+)")
    lines = ["epoch=1 loss=0.5", "epoch=-3 loss=0.01", "epoch=NaN loss=0.02", "epoch=2 loss=0.4", "epoch=x", "loss=0.1"]
    assert [reader.line(line).report for line in lines] == [
        (1, {"loss": 0.5}),
        None,
        None,
        (2, {"loss": 0.4}),
        None,
        None,
    ]


def test_what_no_pattern_matched_is_told_with_the_line_most_like_it():
    reader = patterns(loss=r"loss=(\S+)", accuracy=r"acc (\S+)")
    assert reader.why_nothing() == "it printed nothing"
    reader.lines(["loading data", "Loss: 0.31", "acc 0.5", "epoch 1 of 3", "Loss: 0.25"])
    assert reader.why_nothing() == r"5 lines seen, none matched 'loss=(\\S+)'; nearest was: 'Loss: 0.31'"
    reader.line("loss=1")
    assert reader.why_nothing() == ""


def test_looking_for_the_nearest_line_is_bounded():
    reader = patterns(loss=r"loss=(\S+)")
    reader.lines(["".join(chr(97 + index // 26**place % 26) for place in range(3)) * 100 for index in range(17_000)])
    assert reader.why_nothing().startswith("17000 lines seen")
    assert len(reader.why_nothing()) < 250


def test_a_report_of_several_objectives_is_complete_with_the_last_of_them() -> None:
    patterns = [MetricPattern("loss", "loss ([0-9.]+)"), MetricPattern("speed", "speed ([0-9.]+)")]
    text = ["loss 0.5", "speed 3", "loss 0.4", "speed 4"]
    reader = PatternReader(patterns, "loss", "epoch", also=["speed", "memory"])
    reports = [found.report for found in map(reader.line, text) if found.report is not None]
    assert reports == [(1, {"loss": 0.5, "speed": 3.0}), (2, {"loss": 0.4, "speed": 4.0})]
    again = PatternReader(patterns, "loss", "epoch", also=["speed"])
    assert again.lines(text).reports == reports
