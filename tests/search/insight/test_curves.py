"""Curves are read from reports.csv as losses; what broke a constraint on metrics is told apart."""

from __future__ import annotations

import math

import pytest

from clustertune.model.errors import Mistake
from clustertune.search.insight.curves import Bound, read_curves


def test_curves_are_read_from_the_file_with_its_escaped_names() -> None:
    text = "trial,attempt,resource,loss,metric.trial\n0,1,1,0.5,7\n0,1,2,NaN,8\n1,1,1,,9\n0,2,1,0.4,7\n"
    assert read_curves(text, metric="loss") == {0: {1: 0.4}}
    assert read_curves(text, metric="trial") == {0: {1: 7.0, 2: 8.0}, 1: {1: 9.0}}
    with pytest.raises(Mistake, match="they reported loss, trial"):
        read_curves(text, metric="error")


def test_what_is_maximized_becomes_a_loss_and_a_broken_bound_is_the_worst_of_losses() -> None:
    text = (
        "trial,attempt,resource,gain,gb,metric.trial\n"
        "0,1,1,0.5,2,1\n0,1,2,0.6,2.5,1\n0,1,3,0.7,2,0\n1,1,1,0.1,nan,1\n1,1,2,0.2,,1\n1,1,3,0.3,-inf,1\n"
    )
    bounds = [Bound(metric="gb", high=2.0), Bound(metric="trial", low=1.0)]
    assert read_curves(text, metric="gain", goal="maximize", bounds=bounds) == {0: {1: -0.5, 2: math.inf, 3: math.inf}}
    with pytest.raises(Mistake, match="no trial reported 'ms'"):
        read_curves(text, metric="gain", bounds=[Bound(metric="ms")])
