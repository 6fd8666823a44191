"""replay, against the journal of a real coordinator, its searcher's process and all."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from typing import TYPE_CHECKING

from tests.cli.conftest import Cli

if TYPE_CHECKING:
    from tests.conftest import TestHome

THREE_LEVELS = """
import clustertune

def train(config):
    for level in (1, 3, 9):
        clustertune.report(level, loss=config["x"] ** 2 + 1 / level)
"""


def test_a_model_based_search_is_proved_from_its_journal(cli: Cli) -> None:
    definition = cli.experiment(THREE_LEVELS, more="resource: {min: 1, max: 9}\nsearcher: multi-fidelity\n")
    cli("tune", definition, "--set", "trials=25")
    assert "decisions come out as they are in the journal (25 proposals," in cli("replay").stdout
    told = json.loads(cli("replay", "trying", "--json").stdout)
    assert told["others"] == []
    assert told["decisions"]["proposal"] == 25


def test_what_comes_out_otherwise_is_shown_and_makes_it_fail(cli: Cli, home: TestHome) -> None:
    cli("tune", cli.experiment(THREE_LEVELS))
    with contextlib.closing(sqlite3.connect(home.cluster.path / "journal.sqlite")) as journal:
        changed = (
            "UPDATE facts SET body = json_set(body, '$.config.x', 0.125) WHERE kind = 'TrialCreated' AND body LIKE ?"
        )
        assert journal.execute(changed, ('%"trial":2,%',)).rowcount == 1
        journal.commit()
    shown = cli("replay", check=1).stdout
    assert "1 of 8 decisions come out otherwise (4 proposals, 4 starts)" in shown
    assert "proposal of trial 2: journal x=0.125, now x=" in shown
