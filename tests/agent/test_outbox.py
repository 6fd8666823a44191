"""The outbox: numbers, repetition, full disks and bounded memory."""

from __future__ import annotations

import resource
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustertune.agent.outbox import Outbox
from clustertune.model.messages import Reports, Started, decode
from clustertune.model.trial import Report


def started(pid):
    return partial(Started, attempt="digits:0:1", pid=pid)


def drain(outbox):
    found = []
    while (frame := outbox.take()) is not None:
        found.append(decode(frame).seq)
    return found


@pytest.fixture
def path(tmp_path):
    return tmp_path / "outbox-1.jsonl"


def test_frames_are_numbered_from_one_and_sent_once(path):
    outbox = Outbox(path)
    assert [outbox.append(started(pid)) for pid in range(3)] == [1, 2, 3]
    assert drain(outbox) == [1, 2, 3]
    assert outbox.take() is None
    outbox.close()


def test_a_rewind_sends_again_what_is_not_acknowledged(path):
    outbox = Outbox(path)
    for pid in range(5):
        outbox.append(started(pid))
    drain(outbox)
    outbox.acknowledge(2)
    outbox.rewind(3)
    assert drain(outbox) == [4, 5]
    outbox.close()


def test_a_frame_is_on_disk_before_it_can_be_sent(path):
    outbox = Outbox(path)
    outbox.append(started(7))
    assert decode(path.read_text()) == Started(1, "digits:0:1", 7)
    outbox.close()
    assert path.exists()


def test_what_an_agent_of_the_same_epoch_left_is_sent_and_a_torn_line_is_not(path):
    outbox = Outbox(path)
    for pid in range(4):
        outbox.append(started(pid))
    outbox.acknowledge(2)
    outbox.close()
    with path.open("a") as file:
        file.write('{"type":"started","seq":5,"att')
    again = Outbox(path)
    again.rewind(2)
    assert drain(again) == [3, 4]
    assert again.append(started(9)) == 5
    assert drain(again) == [5]
    again.close()


def test_a_coordinator_that_knows_of_later_numbers_says_where_to_go_on(path):
    outbox = Outbox(path)
    outbox.rewind(41)
    assert outbox.append(started(1)) == 42
    outbox.close()


def test_the_file_goes_when_all_is_acknowledged(path):
    outbox = Outbox(path)
    outbox.append(started(1))
    outbox.acknowledge(1)
    assert outbox.settled
    outbox.close()
    assert not path.exists()


def test_memory_is_bounded_and_the_rest_is_read_from_disk(path):
    outbox = Outbox(path, memory_bytes=2000)
    for pid in range(1000):
        outbox.append(started(pid))
    assert outbox._memory_bytes <= 2000
    assert drain(outbox) == list(range(1, 1001))
    outbox.rewind(500)
    assert drain(outbox) == list(range(501, 1001))
    outbox.close()


def test_an_acknowledged_file_is_emptied_once_it_is_large(path):
    outbox = Outbox(path)
    filler = Report(1, {"m" * 10000: 1.0})
    for number in range(1, 202):
        outbox.append(lambda seq: Reports(seq, "digits:0:1", (filler,)))
        outbox.take()
        outbox.acknowledge(number)
    assert path.stat().st_size < 1_100_000
    outbox.append(started(1))
    assert drain(outbox) == [202]
    outbox.close()


@pytest.fixture
def full_disk():
    """The kernel refuses files beyond a size, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_keeps_frames_in_memory_and_says_so_until_there_is_space(path, full_disk, monkeypatch):
    monkeypatch.setattr("clustertune.agent.outbox._RETRY_S", 0.0)
    outbox = Outbox(path, memory_bytes=100)
    outbox.append(started(0))
    full_disk(path.stat().st_size + 20)
    for pid in range(1, 10):
        outbox.append(started(pid))
    assert "cannot be written" in outbox.problem
    assert drain(outbox) == list(range(1, 11))
    outbox.acknowledge(4)
    full_disk(resource.getrlimit(resource.RLIMIT_FSIZE)[1])
    outbox.append(started(10))
    assert outbox.problem == ""
    outbox.rewind(4)
    assert drain(outbox) == list(range(5, 12))
    assert [decode(line).seq for line in path.read_text().splitlines()] == [1, *range(5, 12)]
    outbox.close()


steps = st.lists(st.one_of(st.just("append"), st.just("take"), st.integers(0, 40), st.just("rewind")), max_size=60)


@given(steps=steps, memory=st.sampled_from([0, 150, 10_000]))
def test_whatever_happens_each_frame_is_sent_in_order_and_nothing_unacknowledged_is_lost(
    tmp_path_factory, steps, memory
):
    outbox = Outbox(tmp_path_factory.mktemp("o") / "outbox", memory_bytes=memory)
    acknowledged = sent = last = 0
    for step in steps:
        if step == "append":
            last = outbox.append(started(last))
        elif step == "take":
            frame = outbox.take()
            assert (frame is None) == (sent == last)
            if frame is not None:
                sent += 1
                assert decode(frame) == Started(sent, "digits:0:1", sent - 1)
        elif step == "rewind":
            outbox.rewind(acknowledged)
            sent = acknowledged
        elif acknowledged < step <= sent:
            outbox.acknowledge(step)
            acknowledged = step
    assert outbox.last == last
    outbox.rewind(acknowledged)
    assert drain(outbox) == list(range(acknowledged + 1, last + 1))
    assert outbox.unsent_bytes == 0
    outbox.close()
