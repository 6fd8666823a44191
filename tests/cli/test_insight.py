"""insight: what a real experiment says, in words and as JSON."""

from __future__ import annotations

import json
import re

import yaml

from tests.cli.conftest import Cli

# At the last epoch a constraint is broken: what is gained there is nobody's.
UNEVEN = """
import clustertune

def train(config):
    for epoch in range(1, 4 if config["x"] < 0.7 else 2):
        gained = 100 if epoch == 3 else 1 / 2 if epoch == 2 else 0
        clustertune.report(epoch, loss=(config["x"] - 0.2) ** 2 - gained, gb=epoch)
"""
MORE = """
resource: {name: epoch, max: 3}
scheduler: fifo
searcher: sobol
metric_constraints: [{metric: gb, at_most: 2}]
"""
SPACE = "space: {x: {type: float, low: 0, high: 1}, junk: {type: int, low: 1, high: 9}}"


def definition(cli: Cli, program: str, *, trials: int) -> str:
    path = cli.folder / cli.experiment(program, more=MORE)
    text = re.sub(r"^space:.*$", SPACE, path.read_text(), flags=re.MULTILINE)
    path.write_text(text.replace("trials: 4", f"trials: {trials}"))
    return path.name


def test_what_mattered_is_told_with_a_space_to_copy(cli: Cli) -> None:
    cli("tune", definition(cli, UNEVEN, trials=30))
    shown = cli("insight", "trying").stdout
    assert shown.splitlines()[0] == "trying: what 30 trials say about loss"
    assert re.search(r"^x +━{20} +100 % +narrow it to \S+ … \S+ *$", shown, re.MULTILINE)
    assert re.search(r"^junk +no", shown, re.MULTILINE)
    assert "did not reach epoch 3" in shown
    fragment = yaml.safe_load(shown[shown.index("\nspace:") :])
    assert fragment["space"]["x"]["high"] < 0.9
    told = json.loads(cli("insight", "--json").stdout)
    assert [one["name"] for one in told["parameters"]] == ["x", "junk"]
    assert yaml.safe_load(told["space"]) == fragment
