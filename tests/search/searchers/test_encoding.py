"""Configurations as vectors: two ways to the same."""

from __future__ import annotations

import numpy as np
import pytest

from clustertune.model.space import Choice, Constant, Float, Int, Ordinal, Space
from clustertune.search.searchers.encoding import Encoder
from tests.search.searchers.mixed_task import MIXED

ENTANGLED = Space(
    {
        "a": Float(1e-5, 1.0, log=True),
        "b": Int(1, 1000, log=True),
        "c": Choice(("x", "y", 3, True)),
        "d": Float(0.0, 0.3, step=0.05),
        "e": Int(3, 9),
        "f": Ordinal((1, 5, 9)),
        "g": Int(0, 64, step=16),
        "h": Float(-1.0, 2.0),
        "i": Choice((True, False)),
        "k": Constant(3),
    },
    {"h": {"c": ("x", 3), "k": (3,)}, "i": {"e": (4, 5)}, "a": {"b": (1, 2, 3, 7), "i": (True,)}},
)


@pytest.mark.parametrize("space", [MIXED, ENTANGLED, Space({"x": Float(0.0, 1.0)}), Space({"k": Constant(1)})])
def test_points_of_the_cube_are_encoded_as_the_configurations_they_lead_to(space: Space) -> None:
    points = np.random.default_rng(0).random((2000, len(space.dimensions)))
    encoder = Encoder(space)
    by_configs = encoder.encode([space.from_unit(point) for point in points.tolist()])
    assert encoder.encode_points(points) == pytest.approx(by_configs, abs=1e-12)
