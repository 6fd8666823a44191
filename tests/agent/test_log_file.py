"""The bounded log: what is kept, and what offsets mean."""

from __future__ import annotations

import resource

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustertune.agent.log_file import LogFile, whole_characters


def read_all(log):
    found, offset = b"", 0
    while True:
        at, data = log.read(offset, 7)
        if not data:
            return found
        found, offset = found + data, at + len(data)


def test_a_short_log_is_kept_whole(tmp_path):
    log = LogFile(tmp_path / "a.log", 100)
    log.write(b"hello ")
    log.write(b"world")
    assert log.read(6, 100) == (6, b"world")
    assert log.read(-3, 100) == (8, b"rld")
    assert log.read(99, 5) == (11, b"")
    log.close()
    assert (tmp_path / "a.log").read_bytes() == b"hello world"
    assert (log.size, log.tail) == (11, b"hello world")


def test_nothing_written_makes_no_file(tmp_path):
    log = LogFile(tmp_path / "a.log")
    log.write(b"")
    log.close()
    assert list(tmp_path.iterdir()) == []


@given(pieces=st.lists(st.integers(1, 30), max_size=30))
def test_the_beginning_and_the_end_are_kept_and_offsets_stay_true(tmp_path_factory, pieces):
    path = tmp_path_factory.mktemp("log") / "a.log"
    log, half = LogFile(path, 20), 20
    whole = bytes(32 + index % 90 for index in range(sum(pieces)))
    position = 0
    for size in pieces:
        log.write(whole[position : position + size])
        position += size
    expected = whole if len(whole) <= 2 * half else whole[:half] + whole[-half:]
    assert read_all(log) == expected
    log.close()
    assert read_all(log) == expected
    assert log.size == len(whole)
    gap = len(whole) - len(expected)
    note = f"\n[clustertune: {gap} bytes left out]\n".encode() if gap else b""
    kept = path.read_bytes() if pieces else b""
    assert kept == (whole[:half] + note + whole[max(half, len(whole) - half) :] if gap else whole)
    assert [each.name for each in path.parent.iterdir()] == (["a.log"] if pieces else [])


def test_on_a_full_disk_the_log_stops_and_says_so(tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    log = LogFile(tmp_path / "a.log")
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[1]))
    try:
        log.write(b"123456789012345")
        log.write(b"more")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert log.problem.startswith("the log of this attempt stops after 10 bytes: ")
    assert log.read(0, 100) == (0, b"1234567890")
    log.close()


def test_a_fresh_log_takes_the_place_of_an_older_one(tmp_path):
    (tmp_path / "a.log").write_bytes(b"old")
    assert LogFile(tmp_path / "a.log").read(0, 9) == (0, b"old")
    assert LogFile(tmp_path / "a.log", fresh=True).size == 0


@pytest.mark.parametrize("text", ["grüße", "日本", "🎉🎉", "plain"])
def test_a_character_is_not_cut_in_two(text):
    data = text.encode()
    for end in range(1, len(data) + 1):
        whole = whole_characters(data[:end], more=True)
        assert text.startswith(whole.decode(errors="replace")) or len(whole) == end < 4
        assert len(whole) > 0


def test_what_is_no_character_is_let_through():
    assert whole_characters(b"\x80\x80\x80\x80", more=True) == b"\x80\x80\x80\x80"
    assert whole_characters(b"ab\xc3", more=False) == b"ab\xc3"
