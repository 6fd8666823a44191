"""How far the program has come is one line on a terminal, a line now and then elsewhere, and nothing for a moment."""

from __future__ import annotations

from io import StringIO

import pytest

from clustertune.client.sending import Progress
from clustertune.view.sending import SendingView, line


class SetClock:
    """Time as the test says."""

    now_s = 100.0

    def monotonic_s(self) -> float:
        return self.now_s

    def wall_s(self) -> float:
        return self.now_s


def progress(sent: int, of: int = 10_000_000) -> Progress:
    return Progress(files=1000, size_bytes=of, files_sent=sent // 10_000, sent_bytes=sent)


@pytest.mark.parametrize(
    ("told", "elapsed_s", "text"),
    [
        (
            Progress(files=10_000, size_bytes=48_300_000, files_sent=3211, sent_bytes=12_100_000),
            2.0,
            "sending the program: 3,211 of 10,000 files, 12.1 of 48.3 MB, 6.0 MB/s",
        ),
        (Progress(files=1, size_bytes=3_000), 0.0, "sending the program: 0 of 1 file, 0.0 of 3.0 kB"),
        (
            Progress(files=2, size_bytes=4_900_000_000, files_sent=1, sent_bytes=500_000),
            10.0,
            "sending the program: 1 of 2 files, 0.0 of 4.9 GB, 50.0 kB/s",
        ),
    ],
)
def test_a_line_says_how_much_of_how_much_and_how_quickly(told: Progress, elapsed_s: float, text: str) -> None:
    assert line(told, elapsed_s) == text


@pytest.mark.parametrize("live", [True, False])
def test_what_takes_no_time_is_not_worth_a_word(live: bool) -> None:
    out, clock = StringIO(), SetClock()
    view = SendingView(out, clock, live=live)
    for sent in range(0, 10_000_001, 1_000_000):
        view(progress(sent))
        clock.now_s += 0.04
    view.close()
    assert out.getvalue() == ""


def test_on_a_terminal_one_line_changes_and_the_last_word_stays() -> None:
    out, clock = StringIO(), SetClock()
    view = SendingView(out, clock, live=True)
    for sent in range(0, 10_000_001, 100_000):
        view(progress(sent))
        clock.now_s += 0.05
    view.close()
    text = out.getvalue()
    assert text.endswith("\r\x1b[2Ksending the program: 1,000 of 1,000 files, 10.0 of 10.0 MB, 2.0 MB/s\n")
    assert text.count("\n") == 1
    assert 30 < text.count("\r") < 60  # ten a second at most


def test_elsewhere_there_is_a_line_every_few_seconds_without_control_codes() -> None:
    out, clock = StringIO(), SetClock()
    view = SendingView(out, clock, live=False)
    for sent in range(0, 10_000_001, 10_000):
        view(progress(sent))
        clock.now_s += 0.02
    view.close()
    lines = out.getvalue().splitlines()
    assert len(lines) == 4  # after 5, 10 and 15 seconds, and at the end
    assert out.getvalue().isprintable() or "\r" not in out.getvalue()
    assert lines[-1].startswith("sending the program: 1,000 of 1,000 files")


def test_a_view_that_was_closed_begins_anew() -> None:
    out, clock = StringIO(), SetClock()
    view = SendingView(out, clock, live=False)
    view(progress(0))
    view.close()
    clock.now_s += 60
    view(progress(0))
    view.close()
    assert out.getvalue() == ""
