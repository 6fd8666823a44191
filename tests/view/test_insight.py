"""Importances, advice and how far to trust them; the narrowed space can be pasted into a definition."""

from __future__ import annotations

from typing import Any

from clustertune.definition import load_experiment
from clustertune.model.parameters import Choice, Constant, Float, Int, Ordinal
from clustertune.model.space import Space
from clustertune.search.registry import Registry
from clustertune.view.insight import InsightView, ParameterRow, headline, importances, remarks, space_yaml
from tests.view.screens import lines

LR = Float(1e-4, 1.0, log=True)
ROWS = (
    ParameterRow(name="lr", parameter=LR, share=0.75, negligible=False, narrowed=Float(0.002, 0.05, log=True)),
    ParameterRow(name="depth", parameter=Int(1, 8), share=0.25, negligible=False, beyond="high"),
    ParameterRow(name="decay", parameter=Float(0.0, 1.0), share=None, negligible=False),
    ParameterRow(name="batch", parameter=Ordinal((16, 32)), share=None, negligible=True),
)


def seen(**changes: Any) -> InsightView:
    known: dict[str, Any] = {
        "experiment": "digits", "metric": "error", "resource": "epoch", "valued": 90, "worthless": {}, "early": 0,
        "middle": 9, "top": 9, "cloned": False, "fit": 0.82, "silent": "", "held_back": "", "rows": ROWS,
        "narrower": None,
    }  # fmt: skip
    return InsightView(**{**known, **changes})


def test_the_headline_says_how_far_to_trust_it() -> None:
    assert lines(headline(seen()), 120) == [
        "digits: what 90 trials say about error",
        "a model of them explains 82 % of the differences between unseen trials: enough to go by",
    ]
    assert "take it as a hint" in lines(headline(seen(fit=0.5)), 120)[1]
    assert "a first hint, no more" in lines(headline(seen(fit=0.3)), 120)[1]


def test_where_trials_say_nothing_there_is_no_number_that_looks_like_something() -> None:
    silent = seen(silent="these 20 trials do not say yet which parameters matter", fit=-0.3, rows=())
    assert lines(headline(silent), 120) == [
        "digits: these 20 trials do not say yet which parameters matter",
        "a model of them explains 0 % of the differences between unseen trials",
    ]
    assert not remarks(seen(silent="no", worthless={"failed": 3}))


def test_each_parameter_has_a_bar_and_what_to_do() -> None:
    shown = lines(importances(seen()), 120)
    assert shown[0].split() == ["parameter", "importance", "what", "to", "do"]
    assert shown[1].split() == ["lr", "━" * 15, "75", "%", "narrow", "it", "to", "0.002", "…", "0.05"]
    assert shown[2].split()[:4] == ["depth", "━" * 5, "25", "%"]
    assert shown[2].endswith("the best values lie near the upper end, 8: try higher, if that makes sense")
    assert shown[3].split() == ["decay", "not", "clear", "yet"]


def test_nothing_is_fixed_while_something_is_still_to_be_narrowed() -> None:
    assert lines(importances(seen()), 120)[4].endswith("no visible influence yet")
    kept = tuple(row for row in ROWS if row.narrowed is None)
    assert lines(importances(seen(rows=kept)), 120)[3].endswith("no visible influence: fix it or leave it out")
    assert lines(importances(seen(rows=kept, held_back="few")), 120)[3].endswith("no visible influence yet")


def test_values_are_left_out_or_one_is_left() -> None:
    solver = Choice(("sgd", "adam", "lbfgs"))
    rows = [
        ParameterRow(name="a", parameter=solver, share=0.5, negligible=False, narrowed=Choice(("adam",))),
        ParameterRow(name="b", parameter=solver, share=0.5, negligible=False, narrowed=Constant("adam")),
    ]
    shown = lines(importances(seen(rows=rows)), 120)
    assert shown[1].endswith("leave out sgd, lbfgs")
    assert shown[2].endswith("fix it at adam")


def test_what_one_should_know_is_said_only_where_it_is_so() -> None:
    assert not remarks(seen())
    worthless = {"failed": 1, "broke a metric constraint": 2}
    said = lines(remarks(seen(worthless=worthless, early=60, cloned=True, held_back="18 trials are too few")), 200)
    assert said[0] == "3 trials count as bad as the worst of the others: 1 failed, 2 broke a metric constraint"
    assert said[1].startswith("60 of the other 90 trials did not reach epoch 9: ")
    assert said[2].startswith("clones began from other trials' checkpoints")
    [halved] = lines(remarks(seen(early=60, middle=1)), 200)
    assert halved.startswith("60 trials did not reach epoch 9, half of all not beyond 1: ")
    [one, half] = lines(remarks(seen(worthless={"had no finite value": 1}, early=60, middle=1)), 200)
    assert one == "1 trial counts as bad as the worst of the others: 1 had no finite value"
    assert half.startswith("60 of the other 90 trials did not reach epoch 9, half of the 90 not beyond 1: ")
    assert said[3] == "nothing is narrowed: 18 trials are too few"


def test_the_space_is_a_piece_of_a_definition_that_reads_back_the_same() -> None:
    space = Space(
        {
            "lr": Float(1e-5, 0.5, log=True),
            "on": Choice(("on", "1", 1, True)),
            "width": Float(0.0, 1.0, step=0.1),
            "size": Int(8, 64, step=8),
            "batch": Ordinal((16, 32)),
            "depth": Constant(3),
            "momentum": Float(0.0, 0.99),
        },
        {"momentum": {"on": ("on", 1), "batch": (16,)}},
        ["size * depth <= 100"],
    )
    written = space_yaml(space)
    rest = "run: {call: 'train:train'}\nobjective: {metric: error}\n"
    assert load_experiment(rest + written, registry=Registry.default()).space == space
    assert "  lr: {type: float, low: 1.0e-05, high: 0.5, log: true}" in written.splitlines()
