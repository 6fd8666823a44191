"""Checkpoints on their way: sent until they are whole, fetched and checked, whatever happens on the way."""

from __future__ import annotations

import asyncio
import os
import subprocess

import pytest

from clustertune.agent.bandwidth import Bandwidth
from clustertune.agent.enrolment import Enrolment
from clustertune.agent.outbox import Outbox
from clustertune.agent.shelf import Shelf
from clustertune.agent.transfer import Uploads
from clustertune.agent.untrusted import opened_folder
from clustertune.agent.wire import Wire
from clustertune.model.checkpoint import PART_BYTES, CheckpointRef, FileEntry, Manifest, Part, SavedKind
from clustertune.model.messages import CheckpointPolicy, Discard, Leave, Save, Stop, Store
from clustertune.model.trial import EndReason
from tests.agent.files_server import FilesServer
from tests.agent.test_checkpoints import FIRST, TRAINING, begin, pause, ref
from tests.agent.test_endings import wait_until

BIG = PART_BYTES + 1000

SAVES = """
with clustertune.new_checkpoint(1) as path:
    (path / 'state').write_text('1')
clustertune.report(1, loss=1)
time.sleep(600)
"""

SAVES_MUCH = f"""
for level in (1, 2):
    with clustertune.new_checkpoint(level) as path:
        with open(path / 'weights', 'wb') as file:
            for number in range(2):
                file.write(bytes([number]) * min({PART_BYTES}, {BIG} - number * {PART_BYTES}))
        (path / 'state').write_text(str(level))
        (path / 'state').chmod(0o640)
        (path / 'empty').mkdir()
    clustertune.report(level, loss=1)
    while level == 1 and not clustertune.should_checkpoint():
        time.sleep(0.005)
time.sleep(600)
"""

GOES_ON = """
saved = clustertune.latest_checkpoint()
print((saved.path / 'state').read_text(), oct((saved.path / 'state').stat().st_mode & 0o777))
clustertune.report(loss=1)
"""


async def saved_once(rig, run=None):
    """A paused trial's checkpoint, kept by the agent."""
    await begin(rig, run or rig.call(SAVES, checkpoints=CheckpointPolicy(save_s=0.0)))
    await pause(rig)
    return rig.coordinator.saved(FIRST)[-1]


async def stored(rig, saved):
    await rig.coordinator.send(Store(saved.attempt, saved.digest))
    await rig.files.until(lambda: (saved.attempt, saved.digest) in rig.files.whole)


def test_it_is_stored_with_whoever_asks_named_and_removed_when_nobody_needs_it(in_rig):
    async def scenario(rig):
        saved = await saved_once(rig)
        await stored(rig, saved)
        assert rig.files.content(saved.digest) == {"state": b"1"}
        for _, _, headers in rig.files.requests:
            assert headers["Authorization"] == "Bearer t0ken-of-the-agent"
            assert (headers["X-Instance"], headers["X-Epoch"]) == ("local-0", "1")
        assert rig.kept() == [f"{FIRST}/1"]
        await rig.coordinator.send(Discard(FIRST, (saved.digest,)))
        wait_until(lambda: rig.kept() == [])
        assert rig.coordinator.troubles() == []

    in_rig(scenario, files=True)


def test_unchanged_parts_are_not_sent_twice(in_rig):
    async def scenario(rig):
        start = await begin(rig, rig.call(SAVES_MUCH))
        await rig.coordinator.send(Save(start.attempt))
        second = await rig.coordinator.has_saved(start.attempt)
        await stored(rig, second)
        assert len(rig.files.put) == len(set(rig.files.put)) == 3
        run = rig.call(SAVES_MUCH.replace("str(level)", "'other'"), name="other")
        await rig.coordinator.send(rig.start(run, attempt="digits:1:1"))
        await rig.coordinator.until(lambda: rig.coordinator.reports("digits:1:1"))
        await rig.coordinator.send(Stop("digits:1:1", "stopped"))
        await rig.coordinator.ended("digits:1:1")
        (third,) = rig.coordinator.saved("digits:1:1")
        assert third.digest != second.digest
        await stored(rig, third)
        assert len(rig.files.put) == 4

    in_rig(scenario, files=True)


def test_a_transfer_that_breaks_off_goes_on_with_what_is_missing_and_tells_each_trouble_once(in_rig):
    async def scenario(rig):
        start = await begin(rig, rig.call(SAVES_MUCH))
        await rig.coordinator.send(Save(start.attempt))
        saved = await rig.coordinator.has_saved(start.attempt)
        rig.files.cut = 3
        rig.files.refuse = [("POST", 503), ("POST", 503), ("PUT", 507), ("PUT", 403)]
        await stored(rig, saved)
        assert len(rig.files.put) == len(set(rig.files.put)) == 3
        assert rig.files.content(saved.digest)["state"] == b"2"
        assert len(rig.files.content(saved.digest)["weights"]) == BIG
        troubles = rig.coordinator.troubles()
        assert len(troubles) == len(set(troubles)) >= 3
        assert "told to refuse with 503" in troubles

    in_rig(scenario, files=True)


def test_reports_are_not_delayed_by_a_transfer_that_stalls_and_a_discard_ends_it(in_rig):
    async def scenario(rig):
        rig.files.gate.clear()
        start = await begin(rig, rig.call(TRAINING))
        await rig.coordinator.send(Save(start.attempt))
        saved = await rig.coordinator.has_saved(start.attempt)
        await rig.coordinator.send(Store(start.attempt, saved.digest))
        await rig.files.until(lambda: any(method == "PUT" for method, _, _ in rig.files.requests))
        seen = len(rig.coordinator.reports(start.attempt))
        await rig.coordinator.until(lambda: len(rig.coordinator.reports(start.attempt)) > seen + 100)
        await rig.coordinator.send(Discard(start.attempt, (saved.digest,)))
        wait_until(lambda: f"{FIRST}/{saved.resource}" not in rig.kept())
        await rig.leave()  # nothing waits for the server
        assert rig.files.whole == []

    in_rig(scenario, files=True)


def test_what_vanished_from_the_disk_is_a_trouble_and_no_crash(in_rig):
    async def scenario(rig):
        saved = await saved_once(rig)
        (rig.folder / "checkpoints" / FIRST / "1" / "state").unlink()
        await rig.coordinator.send(Store(FIRST, saved.digest))
        await rig.coordinator.until(rig.coordinator.troubles)
        assert "cannot be read" in rig.coordinator.troubles()[0]
        (rig.folder / "checkpoints" / FIRST / "1" / "state").write_text("2")
        await rig.coordinator.until(lambda: len(rig.coordinator.troubles()) == 2)
        assert "not what the digest says" in rig.coordinator.troubles()[1]
        (rig.folder / "checkpoints" / FIRST / "1" / "state").write_text("1")
        await rig.files.until(lambda: rig.files.whole)
        await rig.coordinator.send(Store("digits:9:1", saved.digest))
        await rig.coordinator.until(lambda: len(rig.coordinator.troubles()) == 3)

    in_rig(scenario, files=True)


def test_what_an_agent_that_was_killed_had_begun_to_store_the_next_one_stores(in_rig):
    async def scenario(rig):
        saved = await saved_once(rig)
        rig.files.gate.clear()
        await rig.coordinator.send(Store(FIRST, saved.digest))
        await rig.files.until(lambda: any(method == "PUT" for method, _, _ in rig.files.requests))
        rig.agent.kill()
        rig.files.gate.set()
        rig.launch()
        await rig.coordinator.until(lambda: len(rig.coordinator.hellos) == 2)
        await stored(rig, saved)

    in_rig(scenario, files=True)


def test_an_agent_elsewhere_fetches_it_and_levels_are_counted_on(in_rig):
    async def scenario(rig):
        start = await begin(rig, rig.call(SAVES_MUCH))
        await rig.coordinator.send(Save(start.attempt))
        saved = await rig.coordinator.has_saved(start.attempt)
        await stored(rig, saved)
        await rig.leave()
        rig.coordinator.seen.clear()
        rig.launch(epoch=2, folder=rig.root / "elsewhere")
        await rig.coordinator.until(lambda: len(rig.coordinator.hellos) == 2)
        rig.files.refuse = [("GET", 503), ("GET", 403)]
        rig.files.damage = 1
        run = rig.call(GOES_ON, name="goes_on")
        ending = await rig.coordinator.run(rig.start(run, attempt="digits:0:2", checkpoint=ref(saved)))
        assert ending.reason is EndReason.RETURNED, ending
        assert ending.log_tail == "2 0o640\n"
        assert rig.coordinator.reports("digits:0:2")[0].resource == 3
        assert any("cannot be fetched" in notice for notice in rig.coordinator.notices("digits:0:2"))
        assert any("came damaged" in notice for notice in rig.coordinator.notices("digits:0:2"))
        assert len(rig.files.got) <= 4  # what came whole is not fetched again

    in_rig(scenario, files=True)


@pytest.mark.parametrize("fault", ["gone", "damaged", "nowhere"])
def test_an_attempt_whose_checkpoint_cannot_be_had_never_begins(in_rig, fault):
    async def scenario(rig):
        manifest = Manifest((FileEntry("state", 0o600, (Part("ab" * 32, 5),)),))
        if fault == "damaged":
            rig.files.manifests[manifest.digest()] = manifest
            rig.files.parts["ab" * 32] = b"other"
        checkpoint = CheckpointRef(manifest.digest(), 1, 5)
        ending = await rig.go(rig.call(GOES_ON), checkpoint=checkpoint)
        assert ending.reason is EndReason.NO_CHECKPOINT
        assert {"gone": "is gone", "damaged": "damaged 3 times", "nowhere": "no place"}[fault] in ending.error
        assert rig.coordinator.pid(FIRST) is None

    in_rig(scenario, files=fault != "nowhere")


def test_a_copy_that_was_damaged_here_is_noticed_and_fetched_instead(in_rig):
    async def scenario(rig):
        saved = await saved_once(rig)
        await stored(rig, saved)
        (rig.folder / "checkpoints" / FIRST / "1" / "state").write_text("7")
        run = rig.call(GOES_ON, name="goes_on")
        ending = await rig.coordinator.run(rig.start(run, attempt="digits:0:2", checkpoint=ref(saved)))
        assert ending.log_tail.startswith("1 ")
        assert any("fetched again" in notice for notice in rig.coordinator.notices("digits:0:2"))

    in_rig(scenario, files=True)


def test_an_attempt_is_stopped_while_its_checkpoint_is_on_its_way(in_rig):
    async def scenario(rig):
        rig.files.gate.clear()
        await rig.coordinator.send(rig.start(rig.call(GOES_ON), checkpoint=CheckpointRef("cd" * 32, 1)))
        await rig.files.until(lambda: rig.files.requests)
        assert (await rig.stop()).reason is EndReason.STOPPED

    in_rig(scenario, files=True)


def test_an_agent_that_is_told_to_leave_leaves_nothing(in_rig):
    async def scenario(rig):
        rig.files.gate.clear()
        saved = await saved_once(rig)
        await rig.coordinator.send(Store(FIRST, saved.digest))
        await rig.files.until(lambda: any(method == "PUT" for method, _, _ in rig.files.requests))
        await rig.coordinator.send(Leave("that is all"))
        assert await rig.agent.exit_code() == 0
        assert not (rig.folder / "checkpoints").exists()

    in_rig(scenario, files=True)


def test_when_the_machine_is_taken_away_what_is_wanted_is_stored_before_the_agent_ends(in_rig):
    async def scenario(rig):
        start = await begin(rig, rig.call(TRAINING))
        await rig.coordinator.until(lambda: len(rig.coordinator.reports(start.attempt)) > 1)
        rig.agent.process.terminate()
        saved = await rig.coordinator.has_saved(start.attempt)
        await stored(rig, saved)
        await rig.coordinator.send(Discard(start.attempt, (saved.digest,)))
        assert await rig.agent.exit_code() == 0
        assert rig.coordinator.ending(start.attempt).reason is EndReason.PAUSED

    in_rig(scenario, files=True)


@pytest.fixture
def small_disk(short_path):
    if os.geteuid() != 0:
        pytest.skip("only root may mount the small disk that this test fills")
    path = short_path / "agent"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m,mode=0700", "small", str(path)], check=True)
    yield path
    subprocess.run(["umount", "-l", str(path)], check=True)


@pytest.mark.parametrize("raised", ["", "raise RuntimeError('unexpected pos')"])
def test_on_a_full_disk_the_trial_goes_on_without_a_checkpoint_and_says_so(in_rig, small_disk, raised):
    async def scenario(rig):
        run = rig.call(f"""
with clustertune.new_checkpoint(1) as path:
    try:
        (path / 'weights').write_bytes(bytes(8 * 2**20))
    except OSError as error:
        if not {bool(raised)!r}: raise
        wrong = error
    else:
        wrong = None
    if wrong: {raised or "pass"}
clustertune.report(1, loss=1)
with clustertune.new_checkpoint(2) as path:
    (path / 'state').write_text('2')
""")
        ending = await rig.go(run)
        assert ending.reason is EndReason.RETURNED, ending
        notices = rig.coordinator.notices(FIRST)
        assert any(notice.startswith("no checkpoint at 1: no space left") for notice in notices), notices
        assert [saved.resource for saved in rig.coordinator.saved(FIRST)] == [2]

    in_rig(scenario)


def test_bandwidth_is_shared_by_all_uploads():
    now = 0.0
    bandwidth = Bandwidth(lambda: now)
    assert [bandwidth.take(500, 1000) for _ in range(3)] == [0.0, 0.5, 1.0]
    now = 1.25
    assert bandwidth.take(500, 1000) == 0.25
    assert bandwidth.take(10**12, None) == 0.0


def test_an_upload_keeps_within_its_bandwidth_and_a_discard_ends_its_wait(in_rig):
    async def scenario(rig):
        policy = CheckpointPolicy(bandwidth_bytes_s=1024, save_s=0.0)
        saved = await saved_once(rig, rig.call(SAVES.replace("'1'", "'1' * 10**6"), checkpoints=policy))
        await rig.coordinator.send(Store(FIRST, saved.digest))
        await rig.files.until(lambda: any(method == "PUT" for method, _, _ in rig.files.requests))
        await rig.coordinator.send(Discard(FIRST, (saved.digest,)))
        wait_until(lambda: rig.kept() == [])
        assert rig.files.put == []

    in_rig(scenario, files=True)


def test_what_is_wanted_again_right_after_a_discard_is_stored(tmp_path):
    saved = tmp_path / "saved"
    saved.mkdir()
    (saved / "state").write_text("1")

    async def scenario(files):
        shelf = Shelf(tmp_path / "shelf", 1)
        outbox = Outbox(tmp_path / "outbox")
        enrolment = Enrolment("", "here-1", 1, "token", files=str(tmp_path / "files"))
        uploads = Uploads(Wire(enrolment), shelf, outbox, lambda: None)
        try:
            with opened_folder(tmp_path) as within:
                kept = shelf.place(FIRST, SavedKind.CHECKPOINT, 1, "saved", within)
            await shelf.read(kept)
            files.gate.clear()
            uploads.store(FIRST, kept.digest)
            await files.until(lambda: any(method == "PUT" for method, _, _ in files.requests))
            uploads.discard(FIRST, (kept.digest,))
            shelf.discard(FIRST, (kept.digest,))
            uploads.store(FIRST, kept.digest)
            files.gate.set()
            await files.until(lambda: not uploads.busy)
            assert files.whole == [(FIRST, kept.digest)]
            assert outbox.settled  # no trouble was told
            assert shelf.find(kept.digest, FIRST) is kept
        finally:
            uploads.close()
            shelf.close()
            outbox.close()

    files = FilesServer(tmp_path / "files")
    try:
        asyncio.run(scenario(files))
    finally:
        files.close()
