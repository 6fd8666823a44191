"""The journal on real files: order, durability, full disks, damage."""

from __future__ import annotations

import asyncio
import math
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clustertune.coordinator.core import facts as f
from clustertune.coordinator.core.commands import ReportRow
from clustertune.coordinator.journal import Entry, Journal
from clustertune.model.errors import JournalDamaged
from clustertune.model.trial import LARGEST_LEVEL, Ending, EndReason, TrialState


def fact(number: int) -> f.TrialMoved:
    return f.TrialMoved(experiment="x", trial=number, state=TrialState.PENDING)


def report(trial: int, resource: int, loss: float | None, *, attempt: int = 1, observed: bool = True) -> ReportRow:
    metrics = {} if loss is None else {"error": loss}
    return ReportRow("x", trial, attempt, resource, 0.5, loss, metrics, observed)


async def write(journal: Journal, *entries: Entry) -> list[int]:
    """Commits them all and answers the order in which that was said."""
    order: list[int] = []
    journal.start(lambda error: pytest.fail(str(error)))
    for number, entry in enumerate(entries):
        journal.append(entry, lambda number=number: order.append(number))  # type: ignore[misc]
    async with asyncio.timeout(20):
        while len(order) < len(entries):
            await asyncio.sleep(0.001)
    return order


def test_entries_are_committed_in_their_order_and_read_back_whole(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    ending = Ending(reason=EndReason.RAISED, error="ValueError: ü", traceback="…", notices=("a",))
    ended = f.AttemptEnded(experiment="x", trial=1, attempt=1, ending=ending, state=TrialState.FAILED)
    order = asyncio.run(write(journal, *(Entry(now=float(n), facts=[fact(n), ended]) for n in range(100))))
    journal.close()
    assert order == list(range(100))
    found = list(Journal(tmp_path / "j").facts())
    assert found == [(float(n), x) for n in range(100) for x in (fact(n), ended)]


def test_a_report_that_comes_twice_is_kept_once(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    asyncio.run(write(journal, *(Entry(now=1.0, reports=[report(0, 1, 0.5)]) for _ in range(3))))
    assert [p.reports for p in journal.progress()] == [1]


def test_progress_is_the_best_and_the_last_of_what_counted(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    rows = [
        report(0, 1, 0.5),
        report(0, 2, 0.2),
        report(0, 3, math.nan),
        report(0, 4, 0.3),
        report(0, 5, None),
        report(0, 1, 0.0, attempt=2, observed=False),
        report(1, 1, math.inf),
    ]
    asyncio.run(write(journal, Entry(now=1.0, reports=rows)))
    first, second = journal.progress()
    assert (first.reports, first.resource, first.last_loss) == (5, 5, 0.3)
    assert (first.best_loss, first.best_resource) == (0.2, 2)
    assert (second.best_loss, second.last_loss) == (None, math.inf)


def test_a_curve_has_every_metric_of_what_counted_in_its_order_with_what_is_not_finite(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    rows = [report(1, 1, 0.5), report(0, 1, math.inf), report(1, 1, 0.1, attempt=2, observed=False), report(1, 2, 0.4)]
    asyncio.run(write(journal, Entry(now=1.0, reports=rows)))
    assert list(journal.curve("x")) == [(1, 1, {"error": 0.5}), (0, 1, {"error": math.inf}), (1, 2, {"error": 0.4})]
    assert list(journal.curve("y")) == []


def test_how_far_an_agents_messages_came_is_kept_with_what_they_said(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    entries = [Entry(now=1.0, received=("local-0", 1, seq)) for seq in range(1, 8)]
    asyncio.run(write(journal, *entries, Entry(now=1.0, received=("local-0", 2, 3))))
    assert journal.received() == {"local-0": (2, 3)}


WRITER = """
    import asyncio, sys
    from pathlib import Path
    from clustertune.coordinator.core import facts as f
    from clustertune.coordinator.journal import Entry, Journal
    from clustertune.model.trial import TrialState

    async def main():
        journal = Journal(Path(sys.argv[1]))
        journal.start(lambda error: sys.exit(str(error)))
        for n in range(1_000_000):
            said = asyncio.Event()
            fact = f.TrialMoved(experiment="x", trial=n, state=TrialState.PENDING)
            journal.append(Entry(now=0.0, facts=[fact]), lambda n=n: (print(n, flush=True), said.set()))
            await said.wait()

    asyncio.run(main())
"""


def test_what_was_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    for attempt in range(3):
        path = tmp_path / f"j{attempt}"
        writer = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(WRITER), str(path)], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        acknowledged = [int(writer.stdout.readline()) for _ in range(50 + 37 * attempt)]
        os.kill(writer.pid, signal.SIGKILL)
        acknowledged += [int(line) for line in writer.stdout if line.endswith("\n")]
        writer.stdout.close()
        writer.wait()
        found = [x.trial for _, x in Journal(path).facts() if isinstance(x, f.TrialMoved)]
        assert found[: len(acknowledged)] == acknowledged


FULL = """
    import asyncio, resource, sys
    from pathlib import Path
    from clustertune.coordinator.core import facts as f
    from clustertune.coordinator.journal import Entry, Journal

    async def main():
        journal = Journal(Path(sys.argv[1]))
        journal.start(lambda error: sys.exit(f"gave up: {error}"))
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
        done = 0
        def count():
            nonlocal done
            done += 1
        for n in range(400):
            fact = f.ExperimentChanged(experiment="x" * 1000, state=f.ExperimentState.PAUSED, reason=str(n))
            journal.append(Entry(now=0.0, facts=[fact]), count)
            await asyncio.sleep(0.001)
        while not journal.problem:
            await asyncio.sleep(0.01)
        print(done, journal.problem, flush=True)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        while done < 400:
            await asyncio.sleep(0.01)
        assert not journal.problem
        journal.close()

    asyncio.run(main())
"""


def test_a_full_disk_is_said_and_waited_for_and_nothing_is_lost(tmp_path: Path) -> None:
    # A limit on the file's size gives the writer what a full disk gives: a write that fails.
    run = subprocess.run(
        [sys.executable, "-c", "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n" + textwrap.dedent(FULL),
         str(tmp_path / "j")],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    done, _, problem = run.stdout.partition(" ")
    assert int(done) < 400
    assert "free some space" in problem
    reasons = [x.reason for _, x in Journal(tmp_path / "j").facts() if isinstance(x, f.ExperimentChanged)]
    assert reasons == [str(n) for n in range(400)]


def test_a_damaged_file_is_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "j").write_bytes(b"not a database" * 1000)
    with pytest.raises(JournalDamaged, match=r"is damaged .* move it away"):
        Journal(tmp_path / "j")


def test_a_page_overwritten_in_the_middle_is_noticed(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    asyncio.run(write(journal, *(Entry(now=1.0, facts=[fact(n)] * 200) for n in range(20))))
    journal.close()
    with (tmp_path / "j").open("r+b") as file:
        file.seek(4096 * 5)
        file.write(b"\xff" * 4096 * 4)
    with pytest.raises(JournalDamaged):
        list(Journal(tmp_path / "j").facts())


def test_a_journal_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    Journal(tmp_path / "j").close()
    with sqlite3.connect(tmp_path / "j") as connection:
        connection.execute("UPDATE about SET value = '99'")
    connection.close()
    with pytest.raises(JournalDamaged, match="schema 99"):
        Journal(tmp_path / "j")


def test_a_fact_of_a_newer_kind_is_refused_by_name(tmp_path: Path) -> None:
    Journal(tmp_path / "j").close()
    with sqlite3.connect(tmp_path / "j") as connection:
        connection.execute("INSERT INTO facts (now, kind, version, body) VALUES (0, 'Bred', 1, '{}')")
    connection.close()
    with pytest.raises(JournalDamaged, match="Bred version 1"):
        list(Journal(tmp_path / "j").facts())


def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    Journal(tmp_path / "j").close()
    assert (tmp_path / "j").stat().st_mode & 0o777 == 0o600


def test_a_journal_that_should_be_there_and_is_gone_or_empty_is_not_begun_anew(tmp_path: Path) -> None:
    with pytest.raises(JournalDamaged, match="is gone or empty"):
        Journal(tmp_path / "j", new=False)
    (tmp_path / "j").touch()
    with pytest.raises(JournalDamaged, match="is gone or empty"):
        Journal(tmp_path / "j", new=False)


@pytest.mark.parametrize(
    "harm",
    [
        "DROP TABLE reports",
        "DROP TABLE about",
        "DELETE FROM facts",
        "DELETE FROM facts WHERE seq = 3",
        "DELETE FROM facts WHERE seq = (SELECT MAX(seq) FROM facts)",
        "DELETE FROM reports WHERE id = 2",
        "DELETE FROM reports WHERE id = (SELECT MAX(id) FROM reports)",
    ],
)
def test_what_was_taken_out_of_a_journal_is_noticed(harm: str, tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    entries = (Entry(now=1.0, facts=[fact(n)], reports=[report(0, n + 1, 0.5)]) for n in range(10))
    asyncio.run(write(journal, *entries))
    journal.close()
    Journal(tmp_path / "j").close()
    with sqlite3.connect(tmp_path / "j") as connection:
        connection.execute(harm)
    connection.close()
    with pytest.raises(JournalDamaged, match="is damaged"):
        Journal(tmp_path / "j")


def test_a_journal_that_is_removed_while_in_use_acknowledges_nothing_more(tmp_path: Path) -> None:
    async def main() -> Exception:
        journal = Journal(tmp_path / "j")
        failed: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()
        journal.start(failed.set_result)
        (tmp_path / "j").unlink()
        journal.append(Entry(now=1.0, facts=[fact(1)]), lambda: pytest.fail("it was acknowledged"))
        async with asyncio.timeout(10):
            error = await failed
        journal.close()
        return error

    error = asyncio.run(main())
    assert isinstance(error, JournalDamaged)
    assert "was removed or replaced" in str(error)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    resource=st.integers(1, LARGEST_LEVEL),
    loss=st.none() | st.floats(),
    metrics=st.dictionaries(st.text(), st.floats(), max_size=4),
)
def test_whatever_a_trial_reports_the_journal_takes_it(
    resource: int, loss: float | None, metrics: dict[str, float], tmp_path: Path
) -> None:
    path = tmp_path / f"j{len(list(tmp_path.iterdir()))}"
    journal = Journal(path)
    row = ReportRow("x", 0, 1, resource, 0.5, loss, metrics, observed=True)
    assert asyncio.run(write(journal, Entry(now=1.0, reports=[row]))) == [0]
    assert next(iter(journal.progress())).resource == resource
    journal.close()


def test_a_folder_in_the_journals_place_is_called_one(tmp_path: Path) -> None:
    (tmp_path / "j").mkdir()
    with pytest.raises(JournalDamaged, match="is not a file"):
        Journal(tmp_path / "j")


def test_facts_that_are_taken_away_while_it_is_in_use_are_missed_at_the_next_start(tmp_path: Path) -> None:
    async def main() -> None:
        journal = Journal(tmp_path / "j")
        await write(journal, *(Entry(now=1.0, facts=[fact(n)]) for n in range(5)))
        with sqlite3.connect(tmp_path / "j") as connection:
            connection.execute("DELETE FROM facts")
        connection.close()
        journal.append(Entry(now=2.0, facts=[fact(9)]), lambda: None)
        journal.close()

    asyncio.run(main())
    with pytest.raises(JournalDamaged, match="5 of 6 facts are missing"):
        Journal(tmp_path / "j")


def test_what_is_handed_in_counts_as_backlog_until_it_is_on_disk(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")

    async def main() -> tuple[int, int]:
        journal.append(Entry(now=1.0, facts=[fact(0)], reports=[report(0, 1, 0.5)]), lambda: None)
        waiting = journal.backlog
        await write(journal, Entry(now=2.0))
        return waiting, journal.backlog

    assert asyncio.run(main()) == (3, 0)
    journal.close()
