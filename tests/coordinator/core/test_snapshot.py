"""The program that was sent along is a part of what agents are told, now, after a restart, and of older journals."""

from __future__ import annotations

import json

from clustertune.coordinator.core import commands as c
from clustertune.coordinator.core import events as e
from clustertune.coordinator.core import facts as f
from tests.coordinator.core.world import World, definition

DIGEST = "d" * 64


def submitted(snapshot: str) -> World:
    world = World()
    given = e.Submitted(experiment="digits", definition=definition(), workdir="sub", python="python", snapshot=snapshot)
    world.send(given)
    world.join()
    return world


def test_what_is_started_names_the_program_and_the_folder_in_it_also_after_a_restart() -> None:
    world = submitted(DIGEST)
    started = [command for command in world.commands if isinstance(command, c.StartAttempt)]
    assert {(command.run.snapshot, command.run.workdir) for command in started} == {(DIGEST, "sub")}
    run = world.restarted().experiment().run
    assert (run.snapshot, run.workdir) == (DIGEST, "sub")


def test_a_journal_from_before_programs_were_sent_is_read_and_runs_them_where_they_lie() -> None:
    (created,) = (fact for _, fact in submitted("").journal if isinstance(fact, f.ExperimentCreated))
    kind, version, body = f.write(created)
    plain = json.loads(body)
    assert plain.pop("snapshot") == ""
    for older in range(1, version):
        assert f.read(kind, older, json.dumps(plain)) == created
