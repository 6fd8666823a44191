"""Sixty trials and more on six machines while everything that can break does, by a plan that a seed makes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.machines.fixture import Machines
from tests.scenarios.chaos.plan import MACHINES, What, plan, written
from tests.scenarios.chaos.programs import EACH, definitions
from tests.scenarios.chaos.trial_of_strength import go_through

if TYPE_CHECKING:
    from tests.conftest import TestHome


def test_a_plan_is_a_function_of_its_seed_and_has_every_fault() -> None:
    assert plan(17) == plan(17)
    assert plan(17) != plan(18)
    for seed in range(50):
        faults = plan(seed)
        assert {fault.what for fault in faults} == set(What)
        assert all(0 <= fault.machine < MACHINES for fault in faults)
    assert "python benchmarks/chaos.py --seed 17" in written(17)
    assert len(written(17).splitlines()) == 1 + len(plan(17))


def test_there_are_sixty_trials_and_more() -> None:
    assert EACH * len(definitions(1)) >= 60


@pytest.mark.timeout(400)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_whatever_breaks_every_trial_ends_once_and_nothing_acknowledged_is_missing(
    seed: int, home: TestHome, tmp_path: Path, ssh_machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    try:
        go_through(seed, home, tmp_path, ssh_machines)
    except BaseException:
        print(written(seed))
        raise
