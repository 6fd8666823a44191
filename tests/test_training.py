"""The trial's side, as a program that runs by hand and under an agent uses it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import clustertune
from clustertune import training


@pytest.fixture(autouse=True)
def channel(monkeypatch):
    """Each test as if in a new process, outside of any trial."""
    for name in [name for name in os.environ if name.startswith("CLUSTERTUNE_")]:
        monkeypatch.delenv(name)
    fresh = training.Channel()
    monkeypatch.setattr(training, "_channel", fresh)
    yield fresh
    fresh._drop()


@pytest.fixture
def agent(tmp_path, monkeypatch):
    """The agent's end of the socket: ``lines(n)`` waits for n lines, the introduction apart."""
    path = tmp_path / "s"
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.listen()
    monkeypatch.setenv("CLUSTERTUNE_SOCKET", str(path))
    monkeypatch.setenv("CLUSTERTUNE_ATTEMPT", "digits:0:1")
    monkeypatch.setenv("CLUSTERTUNE_KEY", "k")
    server.settimeout(20)
    yield server
    server.close()


def test_by_hand_reports_are_printed(capsys):
    clustertune.report(3, validation_error=0.12, accuracy=1)
    clustertune.report(loss=float("nan"))
    assert capsys.readouterr().out == "step 3: validation_error=0.12 accuracy=1\nstep 4: loss=nan\n"


def test_under_an_agent_reports_travel_as_lines(agent, capsys):
    clustertune.report(loss=1)
    clustertune.report(7, loss=float("inf"))
    connection, _ = agent.accept()
    with connection, connection.makefile() as lines:
        assert json.loads(lines.readline()) == {"attempt": "digits:0:1", "key": "k"}
        assert json.loads(lines.readline()) == {"step": 1, "metrics": {"loss": 1.0}}
        assert json.loads(lines.readline()) == {"step": 7, "metrics": {"loss": float("inf")}}
    assert capsys.readouterr().out == ""


def test_numpy_scalars_are_numbers(capsys):
    numpy = pytest.importorskip("numpy")
    clustertune.report(numpy.int64(2), loss=numpy.float32(0.5))
    assert capsys.readouterr().out == "step 2: loss=0.5\n"


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        ("0.1", TypeError, "metric 'loss' must be a number, found '0.1' (str)"),
        (None, TypeError, "metric 'loss' must be a number, found None (NoneType)"),
        ([1], TypeError, "metric 'loss' must be a number, found [1] (list)"),
        (10**400, ValueError, "metric 'loss' must be one number, found 1000"),
    ],
)
def test_a_metric_that_is_no_number_is_named(value, kind, text):
    with pytest.raises(kind) as raised:
        clustertune.report(1, loss=value)
    assert str(raised.value).startswith(text)


@pytest.mark.parametrize(("step", "kind"), [(0, TypeError), (-3, ValueError), (1.5, TypeError), ("1", TypeError)])
def test_a_step_that_is_no_positive_integer_is_refused(step, kind):
    with pytest.raises((TypeError, ValueError), match="the step must be a positive integer, found"):
        clustertune.report(step, loss=1)


@pytest.mark.parametrize("step", [2**53 + 1, 10**22, 10**5000], ids=["next", "22 digits", "5001 digits"])
def test_a_step_beyond_2_to_the_53rd_is_refused_and_forgotten(step, capsys):
    with pytest.raises(ValueError, match=r"a positive integer up to 2\*\*53 \(9007199254740992\), found "):
        clustertune.report(step, loss=1)
    clustertune.report(loss=1)
    clustertune.report(2**53, loss=1)
    with pytest.raises(ValueError, match="found 9007199254740993"):
        clustertune.report(loss=1)
    assert capsys.readouterr().out == "step 1: loss=1\nstep 9007199254740992: loss=1\n"


def test_a_report_of_nothing_and_a_named_step_are_refused():
    with pytest.raises(TypeError, match="at least one metric"):
        clustertune.report(1)
    with pytest.raises(TypeError, match="the step comes first"):
        clustertune.report(step=1, loss=2)


def test_an_agent_that_is_gone_is_a_warning_and_no_crash(agent, capsys):
    clustertune.report(loss=1)
    connection, _ = agent.accept()
    connection.close()
    agent.close()
    for _ in range(5):
        clustertune.report(loss=1)
    shown = capsys.readouterr().err
    assert shown.startswith("clustertune: the agent does not answer")
    assert shown.count("\n") == 1


def test_threads_write_whole_lines(agent):
    def many(name):
        for step in range(1, 201):
            clustertune.report(step, **{name: step})

    threads = [threading.Thread(target=many, args=(name,)) for name in ("a", "b", "c")]
    for thread in threads:
        thread.start()
    connection, _ = agent.accept()
    with connection, connection.makefile() as lines:
        lines.readline()
        found = [json.loads(lines.readline()) for _ in range(600)]
    for thread in threads:
        thread.join()
    assert [line["step"] for line in found if "b" in line["metrics"]] == list(range(1, 201))


def test_an_interrupted_report_is_not_glued_to_the_next(agent, channel):
    clustertune.report(loss=1)
    first, _ = agent.accept()

    class Interrupting:
        def sendall(self, data):
            first_half.sendall(data[:5])
            raise clustertune.Stopped

        def close(self):
            first_half.close()

    first_half, channel._socket = channel._socket, Interrupting()
    with pytest.raises(clustertune.Stopped):
        clustertune.report(loss=2)
    clustertune.report(loss=3)
    second, _ = agent.accept()
    with first, second, first.makefile() as old, second.makefile() as new:
        assert [line.endswith("\n") for line in old] == [True, True, False]
        assert json.loads(new.readline())["key"] == "k"
        assert json.loads(new.readline()) == {"step": 3, "metrics": {"loss": 3.0}}


def test_config_is_read_or_given_or_explained(tmp_path, monkeypatch):
    assert clustertune.config(default={"lr": 0.1}) == {"lr": 0.1}
    with pytest.raises(RuntimeError, match=r"clustertune tune.*config\(default="):
        clustertune.config()
    (tmp_path / "config.json").write_text('{"lr": 0.5, "solver": "sgd"}')
    monkeypatch.setenv("CLUSTERTUNE_CONFIG", str(tmp_path / "config.json"))
    assert clustertune.config(default={"lr": 0.1}) == {"lr": 0.5, "solver": "sgd"}


def test_target_is_the_level_to_reach(monkeypatch):
    assert clustertune.target() is None
    monkeypatch.setenv("CLUSTERTUNE_TARGET", "27")
    assert clustertune.target() == 27


def test_importing_the_sdk_costs_milliseconds_and_the_standard_library_only():
    code = (
        "import sys, time; before = set(sys.modules); begun = time.perf_counter(); import clustertune;"
        "print(time.perf_counter() - begun);"
        "print(*sorted({m.split('.')[0] for m in set(sys.modules) - before} - sys.stdlib_module_names))"
    )
    took = []
    for _ in range(5):
        found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        seconds, modules = found.stdout.splitlines()
        took.append(float(seconds))
        assert modules == "clustertune"
    assert min(took) < 0.015


def test_a_report_costs_microseconds_and_no_memory(agent):
    def swallow():
        connection, _ = agent.accept()
        with connection:
            while connection.recv(1 << 20):
                pass

    thread = threading.Thread(target=swallow)
    thread.start()
    begun = time.perf_counter()
    for step in range(1, 20001):
        clustertune.report(step, loss=1 / step)
    assert (time.perf_counter() - begun) / 20000 < 100e-6
    training._channel._drop()
    thread.join()


def test_by_hand_the_newest_checkpoint_is_kept_and_none_is_asked_for(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert clustertune.latest_checkpoint() is None
    with pytest.raises(ValueError, match="needs a step"):
        clustertune.new_checkpoint()
    clustertune.report(4, loss=1)
    for text in ("first", "second"):
        assert not clustertune.should_checkpoint()
        with clustertune.new_checkpoint() as path:
            (path / "state").write_text(text)
    with clustertune.new_checkpoint(7) as path:
        (path / "state").write_text("third")
    with clustertune.new_result() as path:
        (path / "model").write_text("m")
    clustertune.describe(data="set-7")
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()) == [
        "checkpoints/7/state",
        "result/model",
    ]
    assert capsys.readouterr().out == "step 4: loss=1\n"


def fail_while_saving(level, error):
    with clustertune.new_checkpoint(level) as path:
        (path / "state").write_text("half")
        raise error


@pytest.mark.parametrize("error", [KeyError("no"), KeyboardInterrupt(), clustertune.Stopped()])
def test_an_exception_leaves_no_checkpoint_behind_and_harms_no_earlier_one(tmp_path, monkeypatch, error):
    monkeypatch.chdir(tmp_path)
    with clustertune.new_checkpoint(1) as path:
        (path / "state").write_text("1")
    for level in (1, 2):
        with pytest.raises(type(error)):
            fail_while_saving(level, error)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["1"]
    assert (tmp_path / "checkpoints" / "1" / "state").read_text() == "1"


@pytest.mark.parametrize("step", [0, -1, 2**54, "1", True])
def test_a_checkpoints_step_is_a_level(step):
    with pytest.raises((TypeError, ValueError), match="the step must be a positive integer"):
        clustertune.new_checkpoint(step)


def test_a_request_is_answered_once_and_exit_ends_the_program(agent, tmp_path, monkeypatch):
    monkeypatch.setenv("CLUSTERTUNE_CHECKPOINTS", str(tmp_path / "new"))
    monkeypatch.setenv("CLUSTERTUNE_SAVE", str(tmp_path / "save"))
    (tmp_path / "new").mkdir()
    assert not clustertune.should_checkpoint()
    (tmp_path / "save").write_text("go-on")
    assert clustertune.should_checkpoint()
    with clustertune.new_checkpoint(1):
        pass
    assert not clustertune.should_checkpoint()
    (tmp_path / "fresh").write_text("exit")
    (tmp_path / "fresh").rename(tmp_path / "save")
    assert clustertune.should_checkpoint()
    with pytest.raises(clustertune.Stopped), clustertune.new_checkpoint(2):
        pass
    connection, _ = agent.accept()
    training._channel._drop()
    with connection, connection.makefile() as lines:
        said = [json.loads(line) for line in lines]
    assert said[1:] == [{"asks": True}, {"checkpoint": 1}, {"checkpoint": 2}]


def test_processes_of_a_group_fill_one_folder_and_rank_0_speaks(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLUSTERTUNE_PROCESSES", "2")
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("CLUSTERTUNE_SAVE", str(tmp_path / "save"))
    (tmp_path / "save").write_text("exit")
    clustertune.report(3, loss=1)
    assert not clustertune.should_checkpoint()
    with clustertune.new_checkpoint() as path:
        (path / "shard-1").write_text("1")
    assert path == tmp_path / "checkpoints" / ".part-3"
    monkeypatch.setenv("RANK", "0")
    monkeypatch.delenv("CLUSTERTUNE_SAVE")
    with clustertune.new_checkpoint() as path:
        (path / "shard-0").write_text("0")
    assert sorted(path.name for path in (tmp_path / "checkpoints" / "3").iterdir()) == ["shard-0", "shard-1"]
    assert capsys.readouterr().out == ""


def test_a_report_at_the_target_waits_and_the_target_moves(agent, monkeypatch):
    monkeypatch.setenv("CLUSTERTUNE_PAUSES", "1")
    monkeypatch.setenv("CLUSTERTUNE_TARGET", "3")
    monkeypatch.setenv("CLUSTERTUNE_CHECKPOINT_LEVEL", "1")
    heard = []

    def decide():
        connection, _ = agent.accept()
        with connection, connection.makefile() as lines:
            lines.readline()
            for line in lines:
                heard.append(json.loads(line))
                if heard[-1].get("waits"):
                    answer = {"go": 5} if heard[-1]["step"] == 3 else {"end": "paused"}
                    connection.sendall(json.dumps(answer).encode() + b"\n")

    thread = threading.Thread(target=decide)
    thread.start()
    for _ in range(6):
        clustertune.report(loss=1)
    assert clustertune.target() == 5
    training._channel._drop()
    thread.join()
    assert [(line["step"], line.get("waits", False)) for line in heard] == [
        (2, False), (3, True), (4, False), (5, True), (6, False), (7, False),
    ]  # fmt: skip


def test_a_decision_that_comes_too_late_is_heard_all_the_same(agent, monkeypatch):
    monkeypatch.setenv("CLUSTERTUNE_PAUSES", "1")
    monkeypatch.setenv("CLUSTERTUNE_TARGET", "1")
    monkeypatch.setattr("clustertune.channel._ANSWER_S", 0.0)
    clustertune.report(1, loss=1)
    connection, _ = agent.accept()
    with connection:
        connection.sendall(b'{"go": null}\n')
        clustertune.report(2, loss=1)
        assert clustertune.target() is None


def test_facts_are_texts_or_numbers(agent):
    with pytest.raises(TypeError, match="'data' must be a text or a number, found \\[1\\]"):
        clustertune.describe(data=[1])
    clustertune.describe(data="set-7", rows=12)
    connection, _ = agent.accept()
    with connection, connection.makefile() as lines:
        lines.readline()
        assert json.loads(lines.readline()) == {"describe": {"data": "set-7", "rows": "12"}}


def test_under_torchrun_rank_0_alone_speaks(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text("import clustertune, os\nclustertune.report(1, loss=float(os.environ['RANK']))\n")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone", str(program)]
    done = subprocess.run(torchrun, capture_output=True, text=True, timeout=100, check=True)
    assert [line for line in done.stdout.splitlines() if "loss" in line] == ["step 1: loss=0"]
