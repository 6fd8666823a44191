"""Values and other people's text on a screen."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustertune.view.words import clean, counted, duration, number, one_line, setting, shortened


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "-"), (0.0, "0"), (0.02777777, "0.02778"), (0.05, "0.05"), (1.0, "1"), (123456.7, "123457"),
        (-3.14159, "-3.142"), (1e-5, "1e-5"), (1.23456e-9, "1.235e-9"), (2.5e12, "2.5e12"), (0.00012346, "0.0001235"),
        (math.nan, "nan"), (math.inf, "inf"), (99999.99, "100000"),
    ],
)  # fmt: skip
def test_numbers_show_four_significant_digits(value: float | None, shown: str) -> None:
    assert number(value) == shown


@given(st.floats(min_value=-1e300, max_value=1e300))
def test_a_shown_number_is_near_the_number(value: float) -> None:
    assert math.isclose(float(number(value)), value, rel_tol=1e-3)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-1, "0.0s"), (0.04, "0.0s"), (9.94, "9.9s"), (9.96, "10s"), (59.6, "1m 00s"), (185, "3m 05s"),
        (3599.7, "1h 00m"), (7620, "2h 07m"), (273600, "3d 4h"),
    ],
)  # fmt: skip
def test_durations_are_short(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


def test_settings_are_shown_as_one_writes_them() -> None:
    assert [setting(value) for value in (True, 64, 0.0123456, "adam", "a\nb")] == [
        "true", "64", "0.01235", "adam", "a\\nb",
    ]  # fmt: skip


def test_what_moves_the_cursor_is_spelt_out() -> None:
    assert clean("\x1b[2Jred\r\nnext\ttab\x07") == "\\x1b[2Jred\nnext    tab\\x07"
    assert one_line("left\u202eright\n") == "left\\u202eright\\n"


def test_ordinary_letters_of_any_script_stay() -> None:
    assert clean("naïve 学習率 λ") == "naïve 学習率 λ"


@given(st.text())
def test_clean_text_holds_no_control_character(text: str) -> None:
    assert all(character.isprintable() or character.isspace() for character in clean(text))
    assert "\x1b" not in clean(text)


def test_counts_agree_with_their_noun() -> None:
    assert [counted(number, "trial") for number in (0, 1, 2048)] == ["0 trials", "1 trial", "2,048 trials"]


def test_long_text_is_cut_with_a_mark() -> None:
    assert shortened("abcdef", 4) == "abc…"
    assert shortened("abcd", 4) == "abcd"
