"""The guide's example runs as it is printed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

GUIDE = Path(__file__).parents[3] / "docs" / "guide" / "simulation.md"

DEFINITION = """
run: {call: "train:train"}
space: {lr: {type: float, low: 1.0e-4, high: 1.0, log: true}}
objective: {metric: error}
resource: {name: epoch, max: 9}
trials: 30
"""


def test_the_example_in_python_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "experiment.yaml").write_text(DEFINITION)
    monkeypatch.chdir(tmp_path)
    code = re.search(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    assert code is not None
    exec(code.group(1), {})
    assert "Incumbent(" in capsys.readouterr().out
