"""Real programs that save: the templates, and one change: where a file ``hold`` lies, each stands at a level.

It stands at ``HELD_AT`` until it is asked for a checkpoint, so that a test can pause it there and nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

HELD_AT = 5
TEMPLATES = Path(__file__).parents[2] / "templates"

_PYTHON = f"""
        while epoch == {HELD_AT} and os.path.exists("hold") and not clustertune.should_checkpoint():
            time.sleep(0.002)
"""
_SHELL = f"""
    while [ "$epoch" = {HELD_AT} ] && [ -e hold ] && [ ! -e "$CLUSTERTUNE_SAVE" ]; do sleep 0.01; done
"""
_C = f"""
        while (state.epoch == {HELD_AT} && access("hold", F_OK) == 0 && !wanted)
            usleep(1000);
"""


@dataclass(frozen=True)
class Program:
    """A template, its file that is changed, the line before which it stands, and what stands there."""

    template: str
    file: str
    before: str
    stands: str
    config: Mapping[str, object]
    head: str = ""

    def write(self, folder: Path) -> dict[str, Any]:
        """The definition of an experiment of one trial."""
        for path in (TEMPLATES / self.template).iterdir():
            (folder / path.name).write_text(path.read_text())
        text = (folder / self.file).read_text()
        before, line, after = text.partition(self.before)
        assert line, f"templates/{self.template}/{self.file} has no {self.before!r} any more"
        lead, _, indent = before.rpartition("\n")
        (folder / self.file).write_text(self._with_head(f"{lead}{self.stands}{indent}{line}{after}"))
        definition = dict(yaml.safe_load((folder / "experiment.yaml").read_text()))
        resource = {**definition["resource"], "min": definition["resource"]["max"]}  # no rungs
        own = {"scheduler": "asha-promotion", "trials": 1, "initial": [dict(self.config)], "resource": resource}
        return {**definition, **own}

    def _with_head(self, text: str) -> str:
        future = "from __future__ import annotations\n"
        return text.replace(future, future + self.head) if self.head else text


_IMPORTS = "import os, time\n"
_ASKS = "if clustertune.should_checkpoint():"

PYTORCH = Program(
    "pytorch", "train.py", _ASKS, _PYTHON, {"lr": 0.1, "momentum": 0.9, "hidden": 16}, head=_IMPORTS
)  # fmt: skip
SCIKIT_LEARN = Program(
    "digits", "train.py", _ASKS, _PYTHON.replace("\n    ", "\n        "),
    {"hidden": 16, "layers": 1, "solver": "sgd", "learning_rate": 0.05, "momentum": 0.9, "weight_decay": 1e-4,
     "batch_size": 64}, head=_IMPORTS,
)  # fmt: skip
SHELL = Program("shell", "train.sh", 'if [ -e "$CLUSTERTUNE_SAVE" ]; then', _SHELL, {"rate": 0.05})
C = Program("c", "train.c", "if (wanted) {", _C, {"rate": 0.3, "momentum": 0.8})
