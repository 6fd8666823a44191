"""Sizes, durations and money."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustertune.model.units import (
    format_bytes,
    format_duration,
    format_money,
    parse_bytes,
    parse_duration,
    parse_money,
)


@pytest.mark.parametrize(
    ("written", "size"),
    [
        ("8GiB", 8 * 2**30),
        ("500MB", 500 * 10**6),
        ("1.5 TiB", 3 * 2**39),
        (1024, 1024),
        ("0", 0),
        ("7", 7),
        ("2 gib", 2**31),
    ],
)
def test_sizes_are_read_as_people_write_them(written: object, size: int) -> None:
    assert parse_bytes(written) == size


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("5m", 300), ("1h30m", 5400), ("90", 90), ("2 days", 172800), ("500ms", 0.5), (1.5, 1.5), ("1 h 30 min", 5400),
        ("1.5h", 5400), ("1w", 604800), (" 10 s ", 10),
    ],
)  # fmt: skip
def test_durations_are_read_as_people_write_them(written: object, seconds: float) -> None:
    assert parse_duration(written) == seconds


@pytest.mark.parametrize(("written", "usd"), [("20 USD", 20), ("$20", 20), ("20", 20), (0.5, 0.5), ("usd 3.50", 3.5)])
def test_money_is_read_as_people_write_it(written: object, usd: float) -> None:
    assert parse_money(written) == usd


def test_a_wrong_unit_is_answered_with_examples_of_right_ones() -> None:
    with pytest.raises(ValueError, match=r"'5 parsecs' is not a duration; write for example 90s, 5m, 1h30m, 2d"):
        parse_duration("5 parsecs")
    with pytest.raises(ValueError, match="'8 apples' is not a size; write for example"):
        parse_bytes("8 apples")
    with pytest.raises(ValueError, match="'20 EUR' is not an amount of US dollars"):
        parse_money("20 EUR")


@pytest.mark.parametrize("parse", [parse_bytes, parse_duration, parse_money])
@pytest.mark.parametrize(
    "written", ["", " ", "-1", -1, None, True, [], math.nan, math.inf, "1e999999999", "x" * 500, "1,000", "1h30", "½"]
)
def test_what_is_no_amount_is_refused_with_a_short_message(parse: object, written: object) -> None:
    assert callable(parse)
    with pytest.raises(ValueError) as caught:
        parse(written)
    assert len(str(caught.value)) < 200


@given(st.text(max_size=20))
def test_any_text_is_an_amount_or_a_value_error(text: str) -> None:
    for parse in (parse_bytes, parse_duration, parse_money):
        try:
            assert parse(text) >= 0
        except ValueError:
            continue


def test_durations_are_shown_by_their_two_largest_units() -> None:
    shown = [format_duration(s) for s in (3725, 0, 0.35, 4.25, 59.9, 60, 200, 7200, 90061, -90, math.inf)]
    assert shown == ["1h 2m", "0s", "350ms", "4.2s", "59s", "1m", "3m 20s", "2h", "1d 1h", "-1m 30s", "unknown"]


def test_sizes_are_shown_in_binary_units() -> None:
    shown = [format_bytes(size) for size in (0, 512, 1023, 1024, 8 * 2**30, 2**20 - 1, 5 * 2**60)]
    assert shown == ["0 B", "512 B", "1023 B", "1.0 KiB", "8.0 GiB", "1.0 MiB", "5120.0 PiB"]


def test_money_is_shown_in_cents_or_finer_when_there_is_less() -> None:
    assert [format_money(usd) for usd in (0, 1.5, 0.0012, 12345)] == ["$0.00", "$1.50", "$0.0012", "$12,345.00"]


@given(st.integers(min_value=1, max_value=10**9))
def test_a_whole_number_of_seconds_reads_back_from_its_own_unit(seconds: int) -> None:
    assert parse_duration(f"{seconds}s") == seconds
