"""One seed from its beginning to its end, on machines that are there."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from clustertune.client.nearby import running
from clustertune.model.errors import ClustertuneError
from tests.machines.fixture import Machines
from tests.machines.machine import Machine
from tests.scenarios.chaos.checks import check_all, check_nothing_is_left
from tests.scenarios.chaos.coordinator import Settings
from tests.scenarios.chaos.plan import MACHINES, SMALL, What, plan
from tests.scenarios.chaos.programs import definitions, write_programs
from tests.scenarios.chaos.stage import Stage
from tests.scenarios.chaos.strikes import Strikes
from tests.scenarios.machines import wait_for

if TYPE_CHECKING:
    from tests.conftest import TestHome

LIMIT_S = 150.0
LOST_AFTER_S = 4.0
HOME_BYTES = 48 << 20


def make_machines(machines: Machines) -> list[Machine]:
    """The first have small homes."""
    small = machines(len(SMALL), home_bytes=HOME_BYTES)
    return [*small, *machines(MACHINES - len(SMALL))]


def go_through(seed: int, home: TestHome, folder: Path, machines: Machines) -> Counter[What]:
    """How many faults of each kind met something that they could break. Raises AssertionError where not all holds."""
    stage = Stage(home, folder, machines.key, make_machines(machines), Settings(lost_after_s=LOST_AFTER_S))
    write_programs(folder)
    with stage:
        names = [stage.lab.tune(name, **definition) for name, definition in definitions(seed).items()]
        stage.lab.until(lambda: stage.lab.query("SELECT 1 FROM reports LIMIT 1"), "the first report")
        strikes = Strikes(stage, plan(seed))
        try:
            strikes.run()
            wait_for(lambda: all(_over(stage, name) for name in names), "the end", LIMIT_S)
            check_all(stage, names)
            stage.down()
            check_nothing_is_left(stage)
        except BaseException:
            print(story(stage))
            raise
        return strikes.met + stage.proxy.met


def _over(stage: Stage, name: str) -> bool:
    """Asked of the one that runs: the usual way would start a coordinator without a proxy."""
    try:
        found = running(stage.lab.place)
        if found is None:
            return False
        with found as client:
            snapshot = client.experiment(name)
    except ClustertuneError:
        return False
    assert snapshot.state.value in ("running", "completed"), (snapshot.reason, snapshot.failure)
    return snapshot.state.ended and not snapshot.running


def story(stage: Stage) -> str:
    """What became of machines, the last of the other facts, and the ends of all logs."""
    rows = stage.lab.query("SELECT seq, now, kind, body FROM facts ORDER BY seq")
    shown = [row for row in rows if row[2].startswith(("Instance", "Restarted")) or row[0] > rows[-1][0] - 40]
    facts = [f"{now:.2f} {kind} {body[:200]}" for _, now, kind, body in shown]
    tail = "tail -n 15 .clustertune/machines/*/*/agent.log"
    there = [machine for machine in stage.lab.machines if machine.alive]
    agents = [f"{machine.name}: {machine.run('sh', '-c', tail, check=False).stdout}" for machine in there]
    return "\n".join([*facts, stage.lab.log(), *agents])
