"""A secret stays with the experiment that names it."""

from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import Cli

TELLING = """
import os
import clustertune

def train(config):
    print("found", os.environ.get("MY_SECRET", "nothing"))
    clustertune.report(1, loss=config["x"] ** 2)
"""


def test_trials_of_another_experiment_do_not_inherit_it(cli: Cli) -> None:
    definition = Path(cli.folder / cli.experiment(TELLING))
    plain = definition.read_text()
    definition.write_text(plain + "secrets: [MY_SECRET]\n")
    cli("tune", str(definition), MY_SECRET="hunter2-hunter2")
    assert "found [secret]" in cli("logs", "trying", "0").stdout
    definition.write_text(plain)
    cli("tune", str(definition))
    assert "found nothing" in cli("logs", "trying-2", "0").stdout
