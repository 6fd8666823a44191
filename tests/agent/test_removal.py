"""Whatever programs leave can be removed, and nothing of it keeps an agent from starting."""

from __future__ import annotations

import os
import socket

import pytest

from clustertune.agent.removal import remove
from clustertune.model.trial import EndReason

DEPTH = 1200


def nest(folder, depth=DEPTH):
    """Folders in folders, deeper than Python's stack, and than a path may be long."""
    folder.mkdir(parents=True)
    here = os.open(folder, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("inner", dir_fd=here)
        inner = os.open("inner", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=here))
    os.close(here)


def litter(folder):
    """Everything that may lie in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    nest(folder / "deep")
    (folder / "file").write_bytes(b"\xff{")
    (folder / "7").write_text("[" * 100_000)
    (folder / "9").write_text('{"boot": 1}')
    (folder / "8").write_text('"text"')
    (folder / "link").symlink_to(folder.parent.parent / "precious")
    (folder / "circle").symlink_to(".")
    os.mkfifo(folder / "fifo")
    os.mkfifo(folder / "digits:0:1.log")
    os.mkdir(os.fsencode(folder) + b"/\xff\xfe")
    (folder / "closed" / "in").mkdir(parents=True)
    (folder / "closed").chmod(0)
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(folder / "s"))


def test_all_kinds_are_removed_and_no_link_is_followed(short_path):
    precious = short_path / "precious"
    precious.mkdir()
    (precious / "thesis").touch()
    litter(short_path / "a" / "b")
    remove(short_path / "a")
    remove(short_path / "nothing")
    (short_path / "link").symlink_to(precious)
    remove(short_path / "link")
    assert os.listdir(short_path) == ["precious"]
    assert os.listdir(precious) == ["thesis"]


def test_wide_and_deep_folders_are_removed(tmp_path):
    for number in range(50):
        nest(tmp_path / "top" / f"{number}", depth=50)
    remove(tmp_path / "top")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("epoch", [1, 2])
def test_garbage_in_its_folder_keeps_no_agent_from_starting(in_rig, short_path, epoch):
    async def scenario(rig):
        (rig.root / "precious").mkdir()
        (rig.root / "precious" / "thesis").touch()
        assert (await rig.go(rig.call("return 1"))).reason is EndReason.RETURNED
        rig.agent.kill()
        for name in ("checkpoints", "attempts", "logs", "processes", "checkpoints/digits:5:1"):
            litter(rig.folder / name)
        os.mkfifo(rig.folder / "checkpoints" / "digits:5:1" / "deep.json")
        (rig.folder / "checkpoints" / "digits:5:1" / "3").mkdir()
        (rig.folder / "checkpoints" / "digits:5:1" / "4").mkdir()
        (rig.folder / "checkpoints" / "digits:5:1" / "4.json").mkdir()
        (rig.folder / "checkpoints" / "digits:5:1" / "3.json").write_text("[" * 100_000)
        if epoch == 2:
            rig.coordinator.seen.clear()
        rig.launch(epoch=epoch)
        await rig.coordinator.until(lambda: len(rig.coordinator.hellos) == 2)
        ending = await rig.go(rig.call("return 2"), trial=1)
        assert ending.reason is EndReason.RETURNED
        await rig.leave()
        assert rig.agent.process.returncode == 0
        assert os.listdir(rig.root / "precious") == ["thesis"]
        assert not (rig.folder / "checkpoints").exists()
        assert os.listdir(rig.folder / "attempts") == []

    try:
        in_rig(scenario)
    finally:
        remove(short_path / "agent" / "logs")  # the agent keeps them


@pytest.mark.parametrize("name", ["checkpoints", "attempts", "logs", "processes"])
def test_a_file_or_a_link_in_place_of_a_folder_keeps_no_agent_from_starting(in_rig, name):
    async def scenario(rig):
        (rig.root / "precious").mkdir()
        (rig.root / "precious" / "thesis").touch()
        rig.folder.mkdir()
        if name in ("attempts", "checkpoints"):
            (rig.folder / name).symlink_to(rig.root / "precious")
        else:
            (rig.folder / name).touch()
        rig.launch()
        await rig.coordinator.connected()
        assert (await rig.go(rig.call("return 2"))).reason is EndReason.RETURNED
        await rig.leave()
        assert os.listdir(rig.root / "precious") == ["thesis"]

    in_rig(scenario, launch=False)
