"""Secrets in text and in streams."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from clustertune.agent.redaction import Redactor


def stream(redactor, pieces):
    done, held = b"", b""
    for piece in pieces:
        clean, held = redactor.split(held + piece)
        done += clean
    return done + redactor.all(held)


def test_values_are_replaced_and_other_text_is_not():
    redactor = Redactor(["hunter2", "", "pass word"])
    assert redactor.text("a hunter2 b pass word hunter") == "a [secret] b [secret] hunter"
    assert Redactor([]).text("a") == "a"


def test_of_values_with_one_beginning_the_longer_goes_first():
    assert Redactor(["abc", "abcdef"]).text("abcdef abc") == "[secret] [secret]"
    assert stream(Redactor(["abc", "abcdef"]), [b"abc", b"def ab", b"c"]) == b"[secret] [secret]"


def test_each_line_of_a_long_value_is_a_secret_too():
    assert Redactor(["-----\nkey1\nkey2"]).text("x key2") == "x [secret]"


def test_a_value_across_many_reads_is_found():
    pieces = [bytes([byte]) for byte in b"say hunter2hunter2 hunt"]
    assert stream(Redactor(["hunter2"]), pieces) == b"say [secret][secret] hunt"


def test_a_stream_without_a_beginning_of_a_value_waits_for_nothing():
    assert Redactor(["hunter2"]).split(b"nothing here\n") == (b"nothing here\n", b"")


letters = st.text("ab", min_size=1, max_size=4)


@given(secrets=st.lists(letters, min_size=1, max_size=3), pieces=st.lists(st.text("abc", max_size=6), max_size=8))
def test_a_stream_is_redacted_as_its_whole_text_would_be(secrets, pieces):
    redactor = Redactor(secrets)
    whole = "".join(pieces)
    assert stream(redactor, [piece.encode() for piece in pieces]).decode() == redactor.text(whole)
