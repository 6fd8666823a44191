"""What may be said of simulated machines."""

from __future__ import annotations

import math

import pytest

from clustertune.coordinator.simulation.conditions import SPEEDS, Machine


@pytest.mark.parametrize("speed", [0.0, -1.0, math.nan, math.inf, 1e-7, 1e7])
def test_a_speed_that_makes_no_sense_is_refused(speed: float) -> None:
    with pytest.raises(ValueError, match="a speed from 1e-06 to 1e"):
        Machine(speed=speed)


@pytest.mark.parametrize("start_s", [-1.0, math.nan, math.inf])
def test_a_machine_starts_sometime(start_s: float) -> None:
    with pytest.raises(ValueError, match="a start of 0 s or more"):
        Machine(start_s=start_s)


def test_the_slowest_and_the_fastest_are_machines() -> None:
    assert [Machine(speed=speed).speed for speed in SPEEDS] == [1e-6, 1e6]
