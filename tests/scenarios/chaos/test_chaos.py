"""The plans of the chaos, which ``benchmarks/chaos.py`` carries out: six machines, sixty trials and more."""

from __future__ import annotations

from tests.scenarios.chaos.plan import MACHINES, What, plan, written
from tests.scenarios.chaos.programs import EACH, definitions


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
