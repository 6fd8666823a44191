"""What a program puts where its checkpoints should be harms nobody."""

from __future__ import annotations

from clustertune.model.messages import Save, Saved
from clustertune.model.trial import EndReason
from tests.agent.test_checkpoints import FIRST, begin
from tests.agent.test_endings import wait_until


def test_links_to_the_outside_sockets_and_fifos_are_left_out_and_told(in_rig):
    async def scenario(rig):
        run = rig.call("""
with clustertune.new_checkpoint(1) as path:
    (path / 'sub').mkdir()
    (path / 'sub' / 'weights').write_text('w')
    (path / 'inside').symlink_to('sub/weights')
    (path / 'outside').symlink_to('/etc/passwd')
    (path / 'around').symlink_to('.')
    (path / 'empty').mkdir()
    os.mkfifo(path / 'fifo')
""")
        await rig.go(run)
        (saved,) = rig.coordinator.saved(FIRST)
        assert saved.size_bytes == 2
        notices = " ".join(rig.coordinator.notices(FIRST))
        assert "'outside' is left out" in notices
        assert "'fifo' is left out" in notices
        assert "'around' is left out" in notices

    in_rig(scenario)


def test_folders_without_end_are_no_checkpoint_and_the_next_is(in_rig):
    async def scenario(rig):
        run = rig.call("""
def nest(name, depth):
    os.chdir(os.environ['CLUSTERTUNE_CHECKPOINTS'])
    os.mkdir('part')
    os.chdir('part')
    for _ in range(depth):
        os.mkdir('inner')
        os.chdir('inner')
    open('file', 'w').close()
    os.chdir(os.environ['CLUSTERTUNE_CHECKPOINTS'])
    os.rename('part', name)
while not clustertune.should_checkpoint():
    time.sleep(0.005)
nest('3', 3000)
while os.path.exists('3'):
    time.sleep(0.005)
nest('4', 90)
""")
        start = rig.start(run)
        await rig.coordinator.send(start)
        await rig.coordinator.send(Save(start.attempt))
        ending = await rig.coordinator.ended(start.attempt)
        assert ending.reason is EndReason.RETURNED, ending
        (saved,) = rig.coordinator.saved(FIRST)
        assert saved.resource == 4
        (notice,) = rig.coordinator.notices(FIRST)
        assert notice == "the checkpoint at 3 is lost: its folders are nested more than 100 deep; pack them into a file"

    in_rig(scenario)


REPLACED = """
import shutil
folder, elsewhere = os.environ['CLUSTERTUNE_CHECKPOINTS'], os.path.abspath('precious')
for level in ('1', '2'):
    os.makedirs(os.path.join(elsewhere, level))
    open(os.path.join(elsewhere, level, 'thesis'), 'w').close()
os.rmdir(folder)
os.symlink(elsewhere, folder)
clustertune.report(loss=1)
with clustertune.new_checkpoint(3) as path:
    pass
"""


def test_nothing_is_taken_through_a_link_in_place_of_the_folder(in_rig):
    async def scenario(rig):
        await rig.go(rig.call(REPLACED))
        assert sorted(path.name for path in (rig.workdir / "precious").glob("[0-9]/*")) == ["thesis", "thesis"]
        assert rig.coordinator.saved(FIRST) == []
        (notice,) = rig.coordinator.notices(FIRST)
        assert "write checkpoints into the folder itself" in notice

    in_rig(scenario)


def test_after_a_kill_nothing_is_taken_through_a_link_either(in_rig):
    async def scenario(rig):
        await begin(rig, rig.call(REPLACED + "time.sleep(600)"))
        wait_until((rig.workdir / "precious" / "3").exists)
        rig.agent.kill()
        rig.launch()
        assert (await rig.coordinator.ended(FIRST)).reason is EndReason.LOST
        assert (rig.workdir / "precious" / "2" / "thesis").exists()
        assert rig.coordinator.saved(FIRST) == []

    in_rig(scenario)


def test_links_and_fifos_in_place_of_what_the_agent_reads_and_writes_harm_nobody(in_rig):
    async def scenario(rig):
        body = """
folder = os.path.dirname(os.environ['CLUSTERTUNE_SAVE'])
os.makedirs('precious/1')
open('precious/text', 'w').write('mine')
open('precious/lines', 'w').write('{"loss": 7}')
os.symlink(os.path.abspath('precious'), os.environ['CLUSTERTUNE_RESULT'])
os.symlink(os.path.abspath('precious/1'), os.environ['CLUSTERTUNE_CHECKPOINTS'] + '/5')
os.symlink(os.path.abspath('precious/text'), folder + '/.save')
clustertune.report(1, loss=1)
while not clustertune.should_checkpoint():
    time.sleep(0.005)
"""
        for trial, line in enumerate((
            "os.mkfifo(os.environ['CLUSTERTUNE_METRICS'])",
            "os.symlink(os.path.abspath('precious/lines'), os.environ['CLUSTERTUNE_METRICS'])",
        )):  # fmt: skip
            run = rig.call("os.makedirs(config['in']); os.chdir(config['in'])\n" + line + body, f"links{trial}")
            start = rig.start(run, trial, config={"in": f"folder-{trial}"})
            await rig.coordinator.send(start)
            await rig.coordinator.send(Save(start.attempt))
            ending = await rig.coordinator.ended(start.attempt)
            assert ending.reason is EndReason.RETURNED, ending
            assert rig.coordinator.values(start.attempt) == [(1, 1.0)]
            assert (rig.workdir / f"folder-{trial}" / "precious" / "text").read_text() == "mine"
            assert [m for m in rig.coordinator.seen.values() if isinstance(m, Saved)] == []

    in_rig(scenario)
