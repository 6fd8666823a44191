"""What ``look`` finds: which machine this is, and where sockets can be."""

from __future__ import annotations

import os
import shutil
import socket
from pathlib import Path

from tests.agent.host import Host


def test_a_machine_is_the_same_at_every_look_and_another_one_is_not(host: Host, tmp_path: Path) -> None:
    first = host.ask("look")["machine"]
    assert host.ask("look")["machine"] == first
    assert len(first) == 32
    other = Host(tmp_path)
    assert other.ask("look")["machine"] != first
    other.ask("stop")


def test_a_machine_id_is_not_the_systems_own(host: Host) -> None:
    own = Path("/etc/machine-id")
    assert not own.exists() or own.read_text().strip() not in str(host.ask("look"))


def test_it_tells_what_is_laid_out_and_how_much_room_there_is(host: Host) -> None:
    assert host.ask("look")["workdirs"] == []
    manifest = host.send({"a.py": b"1"})
    host.lay(manifest)
    found = host.ask("look")
    assert found["workdirs"] == [manifest.digest()]
    assert 0 < found["free_bytes"] <= shutil.disk_usage(host.folder).free + 2**30
    assert tuple(map(int, found["python"].split(".")[:2])) >= (3, 10)


def test_sockets_lie_in_our_folder_where_its_path_is_short(host: Host) -> None:
    sockets = Path(host.ask("look")["sockets"])
    assert sockets.parent == host.root
    binds(sockets)


def test_sockets_lie_in_a_private_folder_elsewhere_where_it_is_long(host: Host) -> None:
    short, host.root = host.root, host.folder / ("long" * 30) / "r"
    sockets = Path(host.ask("look")["sockets"])
    binds(sockets)
    assert not sockets.is_relative_to(host.folder)
    assert sockets.stat().st_mode & 0o777 == 0o700
    assert host.ask("look")["sockets"] == str(sockets)
    host.ask("stop")
    assert not sockets.exists()
    host.root = short


def test_a_name_in_the_temporary_folder_that_is_taken_is_not_used(host: Host, tmp_path: Path) -> None:
    short, host.root = host.root, host.folder / ("long" * 30) / "r"
    first = Path(host.ask("look")["sockets"])
    host.ask("stop")
    first.symlink_to(tmp_path)
    try:
        second = Path(host.ask("look")["sockets"])
        assert second not in (first, tmp_path)
        binds(second)
        assert host.ask("look")["sockets"] == str(second)
        host.ask("stop")
        assert not second.exists()
    finally:
        first.unlink()
        host.root = short


def binds(folder: Path) -> None:
    path = folder / ("x" * 24)
    with socket.socket(socket.AF_UNIX) as tried:
        tried.bind(str(path))
    os.unlink(path)


def test_what_a_verb_does_not_understand_is_told(host: Host) -> None:
    host.ask("look")
    for verb, given, words in (
        ("reach", b"{}", "socket"),
        ("reach", b'{"socket": "/a", "epoch": "1"}', "epoch must be an integer"),
        ("reach", b'{"socket": "a", "epoch": 1}', "absolute"),
        ("reach", b"x" * 2_000_000, "more than"),
        ("want", b"null", "no manifest"),
        ("lay", b"{}", "no manifest"),
        ("lay", b"7", "one JSON object"),
        ("take", b"hello\n", "DIGEST SIZE"),
    ):
        answer = host.run(verb, given)
        assert words in answer.error, (verb, answer)
        assert answer.errors == ""
