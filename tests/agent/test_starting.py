"""An agent that outlives the connection it was started over; one at a time, and found again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import psutil
import pytest

from tests.agent.host import Host, until

TOKEN = "t0ken-that-nobody-may-see"


def enrolment(epoch: int = 1, **more: object) -> dict[str, object]:
    return {"socket": "/nowhere/c.sock", "instance": "ssh-0", "epoch": epoch, "token": TOKEN, **more}


def agents(host: Host) -> list[psutil.Process]:
    """Those that live, by what they were started with."""
    found = []
    for process in psutil.process_iter():
        try:
            lives = process.status() != psutil.STATUS_ZOMBIE
            if lives and {"--folder", str(host.root / "agent")} <= set(process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found


def test_look_start_look_stop_look(host: Host) -> None:
    assert host.ask("look")["agent"] is None
    started = host.ask("start", enrolment(3))
    assert started["started"] is True
    assert host.ask("look")["agent"] == {"epoch": 3, "pid": started["pid"], "lives": True}
    assert [process.pid for process in agents(host)] == [started["pid"]]
    assert host.ask("stop") == {"stopped": True}
    assert agents(host) == []
    assert host.ask("look")["agent"] is None
    assert host.ask("stop") == {"stopped": False}


def test_start_again_in_the_same_epoch_changes_nothing(host: Host) -> None:
    first = host.ask("start", enrolment())
    assert host.ask("start", enrolment()) == {"pid": first["pid"], "started": False}


def test_an_agent_of_another_epoch_is_ended_first(host: Host) -> None:
    first = host.ask("start", enrolment(1))
    second = host.ask("start", enrolment(2))
    assert second["started"] is True
    assert [process.pid for process in agents(host)] == [second["pid"]]
    assert first["pid"] != second["pid"]


def test_two_starts_at_once_give_one_agent(host: Host) -> None:
    host.ask("look")
    running = [host.open("start") for _ in range(5)]
    for process in running:
        assert process.stdin is not None
        process.stdin.write(json.dumps(enrolment()).encode())
        process.stdin.close()
        process.stdin = None
    answers = [json.loads(process.communicate()[0]) for process in running]
    assert sorted(answer["started"] for answer in answers) == [False] * 4 + [True]
    assert {answer["pid"] for answer in answers} == {process.pid for process in agents(host)}


def test_it_leaves_the_session_and_holds_nothing_of_the_connection(host: Host) -> None:
    read_end, write_end = os.pipe()
    os.set_inheritable(write_end, True)
    pid = host.ask("start", enrolment(), pass_fds=[write_end])["pid"]  # which returns only once its output is closed
    os.close(write_end)
    assert os.getsid(pid) == pid
    assert os.read(read_end, 1) == b"", "the agent holds a descriptor of who started it"
    os.close(read_end)
    leads = {os.readlink(f"/proc/{pid}/fd/{number}") for number in (1, 2)}
    assert leads == {str(host.root / "agent.log")}


def test_a_killed_agent_is_seen_and_started_again_in_its_epoch(host: Host) -> None:
    first = host.ask("start", enrolment(7))["pid"]
    os.kill(first, signal.SIGKILL)
    until(lambda: not agents(host))
    assert host.ask("look")["agent"] == {"epoch": 7, "pid": first, "lives": False}
    second = host.ask("start", enrolment(7))
    assert second["started"] is True
    assert second["pid"] != first


def test_another_process_with_the_agents_number_is_not_taken_for_it(host: Host) -> None:
    host.ask("start", enrolment())
    host.ask("stop")
    other = subprocess.Popen(["sleep", "600"])
    try:
        record = {"pid": other.pid, "mark": "another start", "epoch": 1}
        (host.root / "agent.json").write_text(json.dumps(record))
        assert host.ask("look")["agent"]["lives"] is False
        assert host.ask("stop") == {"stopped": False}
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": "1"}', '{"pid": -1, "mark": "x", "epoch": 1}', "\0" * 100])
def test_a_damaged_record_is_none(text: str, host: Host) -> None:
    host.ask("look")
    (host.root / "agent.json").write_text(text)
    assert host.ask("look")["agent"] is None
    assert host.ask("start", enrolment())["started"] is True


def test_an_agent_that_does_not_leave_is_killed(host: Host) -> None:
    pid = host.ask("start", enrolment())["pid"]
    os.kill(pid, signal.SIGSTOP)
    assert host.ask("stop") == {"stopped": True}
    assert agents(host) == []


def test_who_dies_while_it_starts_one_leaves_none_that_nobody_knows(host: Host) -> None:
    host.ask("look")
    for _ in range(8):
        process = host.open("start", start_new_session=True)
        assert process.stdin is not None
        process.stdin.write(json.dumps(enrolment()).encode())
        process.stdin.close()
        process.stdin = None
        until(lambda process=process: agents(host) or process.poll() is not None)
        process.kill()
        process.communicate()
        until(lambda: len(agents(host)) == int(known_lives(host)))
        host.ask("stop")


def known_lives(host: Host) -> bool:
    found = host.ask("look")["agent"]
    return found is not None and found["lives"]


@pytest.mark.parametrize(
    "text", [b"", b"no json", b'{"token": "t0ken-that-nobody-may-see"}', b"\xff" * 50, b"[" * 10**5]
)
def test_an_enrolment_with_mistakes_is_refused_without_quoting_it(text: bytes, host: Host) -> None:
    answer = host.run("start", text)
    assert "standard input" in answer.error
    assert "t0ken" not in answer.error + answer.errors
    assert agents(host) == []


def test_the_token_is_in_no_file_no_argument_and_no_answer(host: Host) -> None:
    answer = host.run("start", enrolment(socket=str(host.folder / "none.sock")))
    until(lambda: "no coordinator at" in host.ask("words")["text"])
    (agent,) = agents(host)
    assert TOKEN not in " ".join(agent.cmdline()) + str(agent.environ()) + str(answer)
    holding = [path for path in host.folder.rglob("*") if path.is_file() and TOKEN.encode() in path.read_bytes()]
    assert holding == []


def test_everything_of_ours_is_closed_to_others_and_inside_the_root(host: Host) -> None:
    before = set(host.folder.iterdir())
    host.ask("start", enrolment())
    until(lambda: host.ask("words")["text"])
    unpacked = {path for path in host.folder.iterdir() if path.name.startswith(host.file.stem)}
    assert set(host.folder.iterdir()) == before | {host.root} | unpacked
    assert host.root.stat().st_mode & 0o777 == 0o700
    open_ones = [path for path in host.root.iterdir() if path.lstat().st_mode & 0o077 and not path.is_symlink()]
    assert open_ones == []


def test_words_are_the_end_of_the_agents_log(host: Host) -> None:
    assert host.ask("words") == {"text": ""}
    host.ask("look")
    (host.root / "agent.log").write_bytes(b"x" * 10_000 + b"\xff the end\n")
    text = host.ask("words")["text"]
    assert text.endswith("\ufffd the end")
    assert len(text) < 4096 + 1


def test_a_log_that_has_become_long_starts_anew(host: Host) -> None:
    host.ask("look")
    (host.root / "agent.log").write_bytes(b"of the past\n" * 400_000)
    host.ask("start", enrolment())
    until(lambda: "epoch 1" in host.ask("words")["text"])
    assert (host.root / "agent.log").stat().st_size < 10_000


def test_a_link_in_the_logs_place_is_not_followed(host: Host) -> None:
    host.ask("look")
    (host.root / "agent.log").symlink_to(host.folder / "elsewhere")
    assert "agent.log" in host.run("start", enrolment()).error
    assert not (host.folder / "elsewhere").exists()


def test_other_versions_of_the_agent_file_are_removed_once_nothing_runs_them(host: Host) -> None:
    host.ask("look")
    host.file = host.file.rename(host.root / host.file.name)
    (host.root / "agent-0123456789ab.pyz").write_text("of the past")
    (host.root / "agent-0123456789ab-ffff").mkdir()
    host.ask("start", enrolment())
    left = sorted(path.name for path in host.root.glob("agent-*"))
    assert [name.partition("-")[2][:12] for name in left] == [host.file.stem.partition("-")[2]] * 2
    assert host.ask("start", enrolment())["started"] is False


@pytest.mark.parametrize("kind", ["file", "link", "link to nothing"])
def test_a_root_that_is_no_folder_of_ours_is_refused(kind: str, host: Host) -> None:
    if kind == "file":
        host.root.write_text("")
    else:
        host.root.symlink_to(host.folder if kind == "link" else host.folder / "nothing")
    try:
        assert "private folder" in host.run("look").error
    finally:
        host.root.unlink()


@pytest.mark.parametrize("name", ["a b", "$(id)'\"", "ü\n", "-r", "%20"])
def test_a_root_may_have_any_name(name: str, host: Host) -> None:
    root, host.root = host.root, host.folder / name
    pid = host.ask("start", enrolment())["pid"]
    assert host.ask("look")["agent"] == {"epoch": 1, "pid": pid, "lives": True}
    assert host.ask("stop") == {"stopped": True}
    host.root = root


def test_a_root_that_was_open_to_others_is_closed(host: Host) -> None:
    host.root.mkdir(mode=0o755)
    host.ask("look")
    assert host.root.stat().st_mode & 0o777 == 0o700


def test_a_root_below_the_home_is_found_by_its_tilde(host: Host) -> None:
    root, host.root = host.root, Path("~/.clustertune/machines/c-1")
    host.ask("look")
    assert (host.folder / ".clustertune/machines/c-1/sockets").is_dir()
    for made in (".clustertune", ".clustertune/machines", ".clustertune/machines/c-1"):
        assert (host.folder / made).stat().st_mode & 0o777 == 0o700
    host.root = root
