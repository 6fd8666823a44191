"""``setup``: the interpreter for trials and the user's commands; once, with their output, and nothing left behind."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.agent.host import Host, pythons, until

SECRET = "s3cret-of-the-user"


@pytest.fixture
def workdir(short_path: Path) -> Path:
    path = short_path / "work"
    path.mkdir()
    return path


def wish(workdir: Path, *commands: str, **more: object) -> dict[str, Any]:
    return {"workdir": str(workdir), "commands": list(commands), "fingerprint": "1", **more}


def own(host: Host) -> str:
    told = subprocess.run(
        [host.python, "-c", "import sys; print(sys.executable)"], capture_output=True, text=True, check=True
    )
    return told.stdout.strip()


def processes(mark: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if mark in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


def test_without_commands_trials_run_in_the_machines_python(host: Host, workdir: Path) -> None:
    assert host.ask("setup", wish(workdir)) == {"python": own(host), "ran": False}
    assert not (host.root / "env").exists()


def test_commands_run_in_the_workdir_in_order_and_are_heard(host: Host, workdir: Path) -> None:
    commands = ["pwd; echo one > made", "cat made; echo two >&2", "echo $NAME"]
    answer = host.run("setup", wish(workdir, *commands, python=own(host), env={"NAME": "valúe with $ and '"}))
    assert answer.plain["ran"] is True
    for line in (str(workdir), "one", "two", "valúe with $ and '"):
        assert line in answer.errors.splitlines()
    log = host.root / "setup.log"
    assert log.read_text() in answer.errors
    assert log.stat().st_mode & 0o777 == 0o600


def test_what_pip_installs_lands_in_an_environment_of_ours(host: Host, workdir: Path) -> None:
    (workdir / "pyproject.toml").write_text('[project]\nname = "of-the-user"\nversion = "1"\n')
    site = "import sysconfig; print(sysconfig.get_path('purelib'))"
    commands = [
        "command -v python; command -v pip",
        f'cp pyproject.toml "$(python -c {shlex.quote(site)})/of_the_user.py"',
        "pip --version",
    ]
    answer = host.run("setup", wish(workdir, *commands))
    python = answer.plain["python"]
    assert python == str(host.root / "env" / "bin" / "python")
    assert {python, str(host.root / "env" / "bin" / "pip")} <= set(answer.errors.splitlines())
    assert list((host.root / "env").glob("lib/python*/site-packages/of_the_user.py"))
    assert f"from {host.root / 'env'}" in answer.errors


def test_the_environment_sees_what_the_machines_python_has(host: Host, workdir: Path, tmp_path: Path) -> None:
    subprocess.run([host.python, "-m", "venv", "--without-pip", str(tmp_path / "own")], check=True)
    (site,) = (tmp_path / "own").glob("lib/python*/site-packages")
    (site / "of_the_machine.py").write_text("")
    host.python = tmp_path / "own" / "bin" / "python"
    assert host.ask("setup", wish(workdir, "python -c 'import of_the_machine'"))["ran"] is True


def test_it_runs_again_only_when_what_it_depends_on_has_changed(host: Host, workdir: Path) -> None:
    counted = "echo x >> times"
    assert host.ask("setup", wish(workdir, counted))["ran"] is True
    assert host.ask("setup", wish(workdir, counted))["ran"] is False
    assert host.ask("setup", wish(workdir, counted, fingerprint="2"))["ran"] is True
    assert host.ask("setup", wish(workdir, counted, fingerprint="2", python=own(host)))["ran"] is True
    assert (workdir / "times").read_text() == "x\n" * 3


def test_an_environment_that_was_removed_is_made_anew_and_filled(host: Host, workdir: Path) -> None:
    host.ask("setup", wish(workdir, "echo x >> times"))
    subprocess.run(["rm", "-r", str(host.root / "env")], check=True)
    assert host.ask("setup", wish(workdir, "echo x >> times"))["ran"] is True


@pytest.mark.skipif(len(list(pythons())) < 2, reason="only one Python that is new enough is on this machine")
def test_another_interpreter_makes_another_environment(host: Host, workdir: Path) -> None:
    told = "python -c 'import sys; print(\"version %d.%d\" % sys.version_info[:2])'"
    for python in list(pythons())[:2]:
        host.python = python
        answer = host.run("setup", wish(workdir, told))
        assert answer.plain["ran"] is True
        version = ".".join(host.ask("look")["python"].split(".")[:2])
        assert f"version {version}" in answer.errors.splitlines()


def test_the_first_that_fails_ends_it_and_its_output_is_shown(host: Host, workdir: Path) -> None:
    answer = host.run("setup", wish(workdir, "true", "echo why it fails; exit 7", "touch never", python=own(host)))
    assert answer.error == "setup failed: echo why it fails; exit 7: exit code 7"
    assert answer.plain["log_tail"].endswith("why it fails\n")
    assert not (workdir / "never").exists()
    assert host.ask("setup", wish(workdir, "true", python=own(host)))["ran"] is True


@pytest.mark.parametrize(
    ("command", "why"), [("kill -9 $$", "killed by SIGKILL"), ("no-such-program", "exit code 127")]
)
def test_an_end_is_told_as_it_was(command: str, why: str, host: Host, workdir: Path) -> None:
    assert host.run("setup", wish(workdir, command, python=own(host))).error == f"setup failed: {command}: {why}"


def test_a_command_too_long_to_run_is_told(host: Host, workdir: Path) -> None:
    error = host.run("setup", wish(workdir, "true " + "x" * 200_000, python=own(host))).error
    assert "it cannot be run" in error
    assert len(error) < 500


def test_no_secret_is_in_what_is_shown_written_or_in_the_arguments(host: Host, workdir: Path) -> None:
    parts = f"printf {SECRET[:5]}; sleep 0.2; printf {SECRET[5:]}; echo $TOKEN; env; ps ax; exit 1"
    answer = host.run("setup", wish(workdir, f"echo {SECRET}; {parts}", secrets={"TOKEN": SECRET}, python=own(host)))
    assert "[secret]" in answer.errors
    assert SECRET not in answer.errors + str(answer.plain)
    holding = [path for path in host.root.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]
    assert holding == []


def test_output_without_end_is_bounded_on_disk(host: Host, workdir: Path) -> None:
    process = host.open("setup")
    reader = threading.Thread(target=lambda: process.stderr and process.stderr.read())
    reader.start()
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(wish(workdir, "yes long | head -c 30000000; exit 1", python=own(host))).encode())
    process.stdin.close()
    answer = json.loads(process.stdout.read())
    reader.join()
    process.wait()
    assert process.stderr is not None
    process.stdout.close()
    process.stderr.close()
    assert len(answer["log_tail"]) <= 4096
    assert (host.root / "setup.log").stat().st_size < 3_000_000


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGHUP])
def test_nothing_of_a_command_outlives_the_verb_and_it_runs_again(
    number: signal.Signals, host: Host, workdir: Path
) -> None:
    mark = f"{600 + os.getpid() / 1e9:.9f}"
    again = wish(workdir, f"echo x >> times; [ -e go ] || {{ sleep {mark} & sleep {mark}; }}", python=own(host))
    process = host.open("setup")
    assert process.stdin is not None
    process.stdin.write(json.dumps(again).encode())
    process.stdin.close()
    process.stdin = None
    until(lambda: len(processes(mark)) == 2)
    process.send_signal(number)
    process.communicate()
    until(lambda: not processes(mark))
    (workdir / "go").touch()
    assert host.ask("setup", again)["ran"] is True
    assert (workdir / "times").read_text() == "x\n" * 2


def test_what_a_command_leaves_running_does_not_hold_it_up(host: Host, workdir: Path) -> None:
    mark = f"{601 + os.getpid() / 1e9:.9f}"
    began = time.monotonic()
    assert host.ask("setup", wish(workdir, f"sleep {mark} & echo done", python=own(host)))["ran"] is True
    until(lambda: not processes(mark))
    assert time.monotonic() - began < 60


def test_a_daemon_that_left_the_group_does_not_hold_it_up(host: Host, workdir: Path) -> None:
    mark = f"{602 + os.getpid() / 1e9:.9f}"
    try:
        for output in ("echo quiet", "yes"):
            daemon = f"setsid sh -c '{output}; sleep {mark}' {mark} & sleep 0.1; echo done"
            assert host.ask("setup", wish(workdir, daemon, fingerprint=output, python=own(host)))["ran"] is True
    finally:
        for process in processes(mark):
            psutil.Process(process.pid).kill()
        until(lambda: not processes(mark))


def test_commands_find_nothing_to_read_and_do_not_wait_for_it(host: Host, workdir: Path) -> None:
    assert host.ask("setup", wish(workdir, "cat; read x || true", python=own(host)))["ran"] is True


def test_one_at_a_time_and_who_waited_finds_it_done(host: Host, workdir: Path) -> None:
    given = wish(workdir, "echo x >> times; while [ ! -e go ]; do sleep 0.01; done", python=own(host))
    running = []
    for _ in range(2):
        process = host.open("setup")
        assert process.stdin is not None
        process.stdin.write(json.dumps(given).encode())
        process.stdin.close()
        process.stdin = None
        running.append(process)
        until((workdir / "times").exists)
    assert running[1].stderr is not None
    assert b"waiting for another setup" in running[1].stderr.readline()
    (workdir / "go").touch()
    answers = [json.loads(process.communicate()[0]) for process in running]
    assert [answer["ran"] for answer in answers] == [True, False]
    assert (workdir / "times").read_text() == "x\n"


def test_who_asked_may_be_gone_and_it_comes_to_its_end(host: Host, workdir: Path) -> None:
    given = wish(workdir, "touch begun; while [ ! -e go ]; do sleep 0.01; done; echo a; echo b", python=own(host))
    process = host.open("setup")
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdin.write(json.dumps(given).encode())
    process.stdin.close()
    until((workdir / "begun").exists)
    process.stdout.close()
    process.stderr.close()
    (workdir / "go").touch()
    process.wait(30)
    assert host.ask("setup", given)["ran"] is False


@pytest.mark.parametrize("named", ["no-such-python", "/no/such/python", "~/no/python", "venv/bin/python"])
def test_an_interpreter_that_is_not_there_is_told(named: str, host: Host, workdir: Path) -> None:
    assert f"no Python interpreter {named}" in host.run("setup", wish(workdir, python=named)).error


def test_an_interpreter_beside_the_program_is_named_from_there(host: Host, workdir: Path) -> None:
    (workdir / "bin").mkdir()
    (workdir / "bin" / "python").symlink_to(own(host))
    assert host.ask("setup", wish(workdir, python="bin/python"))["python"] == str(workdir / "bin" / "python")


def test_what_is_no_python_is_told(host: Host, workdir: Path) -> None:
    for name, text in (("true", "#!/bin/sh\n"), ("broken", "#!/no/interpreter\n"), ("says", "#!/bin/sh\necho 7\n")):
        (workdir / name).write_text(text)
        (workdir / name).chmod(0o755)
        assert "does not run as Python" in host.run("setup", wish(workdir, python=f"./{name}")).error


@pytest.mark.skipif(not list(pythons(new_enough=False)), reason="no Python older than 3.10 is on this machine")
def test_an_interpreter_that_is_too_old_for_trials_is_told(host: Host, workdir: Path) -> None:
    for python in pythons(new_enough=False):
        assert "trials need Python 3.10 or newer" in host.run("setup", wish(workdir, python=str(python))).error


def test_a_python_that_cannot_make_environments_is_told_with_the_remedy(host: Host, workdir: Path) -> None:
    python = host.folder / "python3"
    python.write_text("#!/bin/sh\necho ensurepip is not available\nexit 1\n")
    python.chmod(0o755)
    # An interpreter as Debian ships it: everything but what environments are made with.
    code = (
        f"import sys; sys.path.insert(0, {str(host.file)!r}); sys.executable = {str(python)!r}; "
        "from clustertune.agent.verbs import main; sys.exit(main(sys.argv[1:]))"
    )
    given = json.dumps(wish(workdir, "true")).encode()
    done = subprocess.run(
        [own(host), "-c", code, "setup", "--root", str(host.root)],
        input=given, env=host.environment, capture_output=True, check=False,
    )  # fmt: skip
    error = json.loads(done.stdout)["error"]
    assert "python3-venv" in error
    assert "ensurepip is not available" in error
    assert not (host.root / "env").exists()


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"workdir": "/no/such/folder"}, "working directory"),
        ({"workdir": "relative"}, "working directory"),
        ({"commands": "true"}, "commands"),
        ({"commands": ["a\0b"]}, "commands"),
        ({"env": {"A=B": "1"}}, "env"),
        ({"env": {"A": 1}}, "env"),
        ({"secrets": {"A": f"{SECRET}\0"}}, "secrets"),
        ({"python": 3}, "python"),
    ],
)
def test_what_makes_no_sense_is_told_and_no_value_quoted(
    more: dict[str, object], words: str, host: Host, workdir: Path
) -> None:
    answer = host.run("setup", {**wish(workdir), **more})
    assert words in answer.error
    assert SECRET not in answer.error + answer.errors
