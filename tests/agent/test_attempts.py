"""What becomes of trials, with a real agent and real processes."""

from __future__ import annotations

import math
import shutil
import sys
from pathlib import Path

from clustertune.model.messages import Started
from clustertune.model.trial import EndReason


def test_a_callable_reports_and_returns(in_rig):
    async def scenario(rig):
        run = rig.call("for epoch in range(1, 4): clustertune.report(epoch, loss=config['lr'] / epoch)")
        ending = await rig.go(run, config={"lr": 0.6})
        assert ending.reason is EndReason.RETURNED
        assert ending.exit_code == 0
        assert ending.error == ""
        assert rig.coordinator.values("digits:0:1") == [(1, 0.6), (2, 0.3), (3, 0.6 / 3)]
        assert isinstance(rig.coordinator.seen[1], Started)

    in_rig(scenario)


def test_a_number_that_a_callable_returns_is_its_report(in_rig):
    async def scenario(rig):
        await rig.go(rig.call("return 0.25"))
        assert rig.coordinator.values("digits:0:1") == [(1, 0.25)]

    in_rig(scenario)


def test_a_dict_that_a_callable_returns_is_one_more_report(in_rig):
    async def scenario(rig):
        await rig.go(rig.call("clustertune.report(4, loss=2); return {'loss': 1, 'accuracy': 0.5, 'name': 'x'}"))
        await rig.go(rig.call("return {'loss': 3, 'epoch': 7}", "other", resource="epoch"), 1)
        assert rig.coordinator.values("digits:0:1") == [(4, 2.0), (5, 1.0)]
        assert rig.coordinator.reports("digits:0:1")[1].metrics == {"loss": 1.0, "accuracy": 0.5}
        assert rig.coordinator.values("digits:1:1") == [(7, 3.0)]

    in_rig(scenario)


def test_nan_infinity_and_the_same_step_twice_are_passed_on(in_rig):
    async def scenario(rig):
        await rig.go(rig.call("clustertune.report(2, loss=float('nan')); clustertune.report(2, loss=-math.inf)"))
        (first, nan), second = rig.coordinator.values("digits:0:1")
        assert first == 2
        assert math.isnan(nan)
        assert second == (2, -math.inf)

    in_rig(scenario)


def test_an_exception_is_told_with_the_users_frames_only(in_rig):
    async def scenario(rig):
        ending = await rig.go(rig.call("def inner():\n    raise ValueError('shapes differ')\ninner()"))
        assert ending.reason is EndReason.RAISED
        assert ending.error == "ValueError: shapes differ"
        assert ending.traceback.startswith("Traceback (most recent call last):")
        assert ending.traceback.count('  File "') == 2
        assert "in inner" in ending.traceback
        assert "clustertune/agent" not in ending.traceback
        assert "shapes differ" in ending.log_tail

    in_rig(scenario)


def test_an_infeasible_configuration_says_why(in_rig):
    async def scenario(rig):
        ending = await rig.go(rig.call("raise clustertune.Infeasible('too wide')"))
        assert (ending.reason, ending.error) == (EndReason.INFEASIBLE, "too wide")
        rig.write("script.py", "import clustertune\nraise clustertune.Infeasible('too deep')\n")
        ending = await rig.go(rig.spec(command="python script.py"), 1)
        assert (ending.reason, ending.error) == (EndReason.INFEASIBLE, "too deep")

    in_rig(scenario)


def test_exit_codes_are_told(in_rig):
    async def scenario(rig):
        ending = await rig.go(rig.call("sys.exit(3)"))
        assert (ending.reason, ending.exit_code, ending.error) == (EndReason.RAISED, 3, "exit code 3")
        ending = await rig.go(rig.spec(command="false"), 1)
        assert (ending.reason, ending.exit_code, ending.error) == (EndReason.RAISED, 1, "exit code 1")
        ending = await rig.go(rig.call("sys.exit()", "other"), 2)
        assert ending.reason is EndReason.RETURNED

    in_rig(scenario)


def test_a_failed_script_is_explained_by_its_own_traceback(in_rig):
    async def scenario(rig):
        rig.write("script.py", "print('begin')\n1 / 0\n")
        ending = await rig.go(rig.spec(command="python script.py"))
        assert ending.error == "exit code 1"
        assert ending.traceback.startswith("Traceback (most recent call last):")
        assert "ZeroDivisionError" in ending.traceback

    in_rig(scenario)


def test_a_trial_killed_from_outside_hints_at_memory(in_rig):
    async def scenario(rig):
        for trial, run in enumerate([rig.call("os.kill(os.getpid(), 9)"), rig.spec(command="kill -9 $$", shell=True)]):
            ending = await rig.go(run, trial)
            assert (ending.reason, ending.signal) == (EndReason.RAISED, 9)
            assert ending.error.startswith("killed by signal 9 (SIGKILL); if you did not send it")
        ending = await rig.go(rig.call("os.kill(os.getpid(), 15); time.sleep(60)", "other"), 2)
        assert (ending.reason, ending.error) == (EndReason.RAISED, "killed by signal 15 (SIGTERM)")

    in_rig(scenario)


def test_a_working_directory_that_vanished_is_told(in_rig):
    async def scenario(rig):
        workdir = rig.workdir / "sub"
        workdir.mkdir()
        runs = [
            rig.spec(call="json:dumps", workdir=str(workdir)),  # nothing of it lies in the directory
            rig.spec(call="leaving:train", workdir=str(workdir)),
            rig.spec(command="true", workdir=str(workdir)),
        ]
        (workdir / "leaving.py").write_text("import os\ndef train(config): return 1\n")
        for trial, run in enumerate(runs):
            assert (await rig.go(run, trial)).reason is EndReason.RETURNED
        shutil.rmtree(workdir)
        for trial, run in enumerate(runs, start=10):
            ending = await rig.go(run, trial)
            assert ending.reason is EndReason.UNSTARTABLE
            assert ending.error == f"the working directory {workdir} does not exist"

    in_rig(scenario)


def test_a_working_directory_that_vanishes_during_the_import_is_told(in_rig):
    async def scenario(rig):
        workdir = rig.workdir / "sub"
        workdir.mkdir()
        (workdir / "train.py").write_text("import shutil\nshutil.rmtree('../sub')\nimport part\n")
        ending = await rig.go(rig.spec(call="train:train", workdir=str(workdir)))
        assert ending.reason is EndReason.UNSTARTABLE
        assert ending.error.startswith(f"the working directory {workdir} vanished while train was imported")

    in_rig(scenario)


def test_a_program_that_is_not_there_is_told_with_where_it_was_sought(in_rig):
    async def scenario(rig):
        ending = await rig.go(rig.spec(command="xyzzy --lr {lr}"), config={"lr": 1.0})
        assert ending.reason is EndReason.UNSTARTABLE
        assert ending.error.startswith("no such program: xyzzy; PATH was ")
        rig.write("run.sh", "#!/bin/sh\necho loss 1\n")
        ending = await rig.go(rig.spec(command="./run.sh"), 1)
        assert "may not be executed: chmod +x" in ending.error
        ending = await rig.go(rig.spec(command="true", workdir="/nowhere"), 2)
        assert ending.error == "the working directory /nowhere does not exist"
        ending = await rig.go(rig.spec(call="train:train", workdir="/nowhere"), 3)
        assert ending.error == "the working directory /nowhere does not exist"
        ending = await rig.go(rig.spec(command="true", python="/nowhere/python"), 4)
        assert ending.error.startswith("there is no Python interpreter /nowhere/python")
        ending = await rig.go(rig.spec(command="echo 'open"), 5)
        assert "No closing quotation" in ending.error

    in_rig(scenario)


def test_a_file_that_is_no_program_is_told(in_rig):
    async def scenario(rig):
        rig.write("data", "no program").chmod(0o755)
        ending = await rig.go(rig.spec(command="./data"))
        assert ending.reason is EndReason.UNSTARTABLE
        assert "Exec format error" in ending.error
        assert (await rig.go(rig.spec(command="true"), 1)).reason is EndReason.RETURNED

    in_rig(scenario)


def test_what_a_program_prints_becomes_reports_where_patterns_match(in_rig, pattern):
    async def scenario(rig):
        rig.write(
            "loop.sh",
            "for i in 3 6; do echo epoch $i; echo acc 0.$i; echo loss=1e-$i; done\necho loss=low; echo loss=9\n",
        )
        patterns = (
            pattern("epoch", r"epoch (\d+)"),
            pattern("accuracy", r"acc (?P<value>\S+)"),
            pattern("loss", r"loss=(\S+)"),
        )
        ending = await rig.go(rig.spec(command="sh loop.sh", metrics=patterns, resource="epoch"))
        assert ending.reason is EndReason.RETURNED
        assert rig.coordinator.values("digits:0:1") == [(3, 1e-3), (6, 1e-6), (7, 9.0)]
        assert rig.coordinator.reports("digits:0:1")[0].metrics == {"accuracy": 0.3, "loss": 1e-3}
        assert rig.coordinator.notices("digits:0:1") == ["the pattern of loss matched 'low', which is not a number"]

    in_rig(scenario)


def test_lines_appended_to_the_metrics_file_are_reports(in_rig):
    async def scenario(rig):
        script = """
            echo '{"loss": 3}' >> $CLUSTERTUNE_METRICS; echo '{"loss": NaN, "step": 5}' >> $CLUSTERTUNE_METRICS
            echo 'garbage' >> $CLUSTERTUNE_METRICS; printf '{"loss": 1, "note": "x"}' >> $CLUSTERTUNE_METRICS
            while [ ! -e go ]; do sleep 0.01; done
            printf '\\n{"loss": 0.5}' >> $CLUSTERTUNE_METRICS
        """
        start = rig.start(rig.spec(command=script, shell=True))
        await rig.coordinator.send(start)
        await rig.coordinator.until(lambda: len(rig.coordinator.reports(start.attempt)) == 2)
        rig.write("go", "")
        await rig.coordinator.ended(start.attempt)
        (one, two, three, four) = rig.coordinator.values(start.attempt)
        assert one == (1, 3.0)
        assert two[0] == 5
        assert math.isnan(two[1])
        assert (three, four) == ((6, 1.0), (7, 0.5))
        assert any("is not JSON: 'garbage'" in notice for notice in rig.coordinator.notices(start.attempt))

    in_rig(scenario)


def test_the_environment_of_a_trial_is_what_the_definition_and_the_agent_say(in_rig):
    async def scenario(rig):
        mine = "$CLUSTERTUNE_TRIAL $CLUSTERTUNE_ATTEMPT $CLUSTERTUNE_TARGET"
        command = f"echo {mine} $A $OMP_NUM_THREADS $MKL_NUM_THREADS; pwd; cat $CLUSTERTUNE_CONFIG"
        run = rig.spec(command=command, shell=True, env={"A": "b", "MKL_NUM_THREADS": "7"})
        ending = await rig.go(run, 4, config={"lr": 0.5, "solver": "sgd"}, target=9, cpus=2.5)
        assert ending.log_tail.splitlines() == [
            "4 digits:4:1 9 b 2 7", str(rig.workdir), '{"lr": 0.5, "solver": "sgd"}',
        ]  # fmt: skip
        body = (
            "print(clustertune.target(), clustertune.config(), os.getcwd(), sys.path[0], os.environ['OMP_NUM_THREADS'])"
        )
        ending = await rig.go(rig.call(body), 5, config={"lr": 1}, target=3)
        assert ending.log_tail.split("\n")[0] == f"3 {{'lr': 1}} {rig.workdir} {rig.workdir} 1"

    in_rig(scenario)


def test_python_is_the_interpreter_of_the_definition(in_rig):
    async def scenario(rig):
        rig.write("where.py", "import sys; print(sys.executable)")
        ending = await rig.go(rig.spec(command="python where.py"))
        assert ending.log_tail.strip() == sys.executable
        other = rig.workdir / "other"
        other.symlink_to("/usr/bin/python3")
        ending = await rig.go(rig.spec(command="python where.py", python=str(other)), 1)
        assert ending.log_tail.strip() in {str(other), "/usr/bin/python3"}
        ending = await rig.go(
            rig.call("print('found numpy' if 'numpy' in sys.modules else sys.prefix)", python=str(other)), 2
        )
        assert ending.log_tail.strip() == "/usr"
        assert ending.reason is EndReason.RETURNED

    in_rig(scenario)


def test_trials_are_seeded_by_their_number(in_rig):
    async def scenario(rig):
        run = rig.call("import random; return random.random()")
        for trial in (1, 2):
            await rig.go(run, trial, seed=7)
        await rig.coordinator.run(rig.start(run, attempt="digits:1:2", seed=7))
        await rig.coordinator.run(rig.start(run, attempt="digits:1:3", seed=8))
        first, second, again, other = (
            rig.coordinator.values(attempt)[0][1]
            for attempt in ("digits:1:1", "digits:2:1", "digits:1:2", "digits:1:3")
        )
        assert first == again
        assert len({first, second, other}) == 3

    in_rig(scenario)


def test_a_start_that_is_known_changes_nothing(in_rig):
    async def scenario(rig):
        start = rig.start(rig.call("open('runs', 'a').write('x'); clustertune.report(loss=1)"))
        await rig.coordinator.send(start)
        await rig.coordinator.send(start)
        await rig.coordinator.ended(start.attempt)
        await rig.coordinator.send(start)
        await rig.go(rig.call("pass", "other"), 1)
        assert (rig.workdir / "runs").read_text() == "x"
        assert rig.coordinator.values(start.attempt) == [(1, 1.0)]

    in_rig(scenario)


def test_an_attempts_folder_goes_when_its_end_is_acknowledged(in_rig):
    async def scenario(rig):
        rig.coordinator.acknowledges = False
        ending = await rig.go(rig.spec(command="echo hello"))
        assert ending.log_bytes == 6
        assert len(list((rig.folder / "attempts").iterdir())) == 1
        rig.coordinator.acknowledges = True
        await rig.go(rig.spec(command="true"), 1)
        await rig.leave()
        assert list((rig.folder / "attempts").iterdir()) == []
        assert [path.name for path in (rig.folder / "logs").iterdir()] == ["digits:0:1.log"]
        assert list((rig.folder / "processes").iterdir()) == []

    in_rig(scenario)


def test_a_folder_too_deep_for_a_socket_works_as_well(in_rig):
    async def scenario(rig):
        deep = rig.root / ("d" * 60) / ("e" * 60)
        rig.launch(folder=deep)
        await rig.go(rig.call("clustertune.report(loss=1); print(os.environ['CLUSTERTUNE_SOCKET'])"))
        assert rig.coordinator.values("digits:0:1") == [(1, 1.0)]
        socket = rig.coordinator.ending("digits:0:1").log_tail.strip()
        assert not socket.startswith(str(deep))
        await rig.leave()
        assert not Path(socket).parent.exists()

    in_rig(scenario, launch=False)


def test_a_callable_without_standard_output_says_why_it_failed(in_rig):
    async def scenario(rig):
        closing = "clustertune.report(loss=1); os.close(1); os.close(2)"
        ending = await rig.go(rig.call(f"{closing}; print('hi')"))
        assert (ending.reason, ending.error) == (EndReason.RAISED, "OSError: [Errno 9] Bad file descriptor")
        assert "print('hi')" in ending.traceback
        assert (await rig.go(rig.call(closing, "quiet"), 1)).reason is EndReason.RETURNED
        early = "os.close(1); os.close(2); clustertune.report(loss=1); os.write(1, b'x'); clustertune.report(loss=2)"
        ending = await rig.go(rig.call(early, "early"), 3)
        assert (ending.error, ending.notices) == ("OSError: [Errno 9] Bad file descriptor", ())
        ending = await rig.go(rig.call("sys.stderr = None; raise ValueError('x')", "none"), 2)
        assert (ending.reason, ending.error) == (EndReason.RAISED, "ValueError: x")

    in_rig(scenario)
