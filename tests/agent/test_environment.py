"""The environment of trials."""

from __future__ import annotations

from pathlib import Path

from clustertune.agent.environment import shared_environment
from clustertune.model.messages import RunSpec


def test_what_an_outer_trial_or_torchrun_left_is_not_for_the_trials_started_here() -> None:
    outer = dict.fromkeys(["RANK", "MASTER_PORT", "TORCHELASTIC_RUN_ID", "MINE"], "3")
    outer.update({f"CLUSTERTUNE_{name}": "1" for name in ("CHECKPOINT", "CHECKPOINT_LEVEL", "SAVE", "PAUSES")})
    run = RunSpec(workdir="/")
    found = shared_environment(outer, run, cpus=1, interpreter="/usr/bin/python3", folder=Path("/f"), sdk=Path("/s"))
    assert found["MINE"] == "3"
    assert not (outer.keys() - {"MINE"}) & found.keys()
