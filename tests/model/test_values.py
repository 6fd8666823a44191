"""Values of which there are many: as good as frozen dataclasses, but for who looks after them."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from clustertune.model.values import value


@value()
class Stopped:
    trial: int
    reason: str = ""


@value()
class Moved:
    trial: int
    reason: str = ""


@value(kw_only=False)
class Level:
    level: int


def test_values_of_one_kind_with_equal_fields_are_one_and_others_are_not() -> None:
    assert Stopped(trial=1, reason="pruned") == Stopped(trial=1, reason="pruned")
    assert Stopped(trial=1) != Stopped(trial=2)
    assert Stopped(trial=1) != Moved(trial=1)
    assert len({Stopped(trial=1), Stopped(trial=1), Stopped(trial=2)}) == 2


def test_another_value_is_made_of_one_and_leaves_it_as_it_was() -> None:
    before = Stopped(trial=1)
    assert replace(before, reason="pruned") == Stopped(trial=1, reason="pruned")
    assert before == Stopped(trial=1)


def test_fields_go_by_name_unless_it_says_otherwise_and_there_are_no_others() -> None:
    with pytest.raises(TypeError):
        Stopped(1)  # type: ignore[call-arg]
    assert Level(3) == Level(level=3)
    with pytest.raises(AttributeError):
        Level(3).rung = 1  # type: ignore[attr-defined]


def test_the_type_checker_refuses_to_have_a_field_set(tmp_path: Path) -> None:
    api = pytest.importorskip("mypy.api")
    (tmp_path / "setting.py").write_text(
        "from clustertune.model.values import value\n"
        "@value()\n"
        "class Stopped:\n"
        "    trial: int\n"
        "found = Stopped(trial=1)\n"
        "found.trial = 2\n"
    )
    python = f"--python-version={sys.version_info.major}.{sys.version_info.minor}"
    said, trouble, _ = api.run([python, "--cache-dir", str(tmp_path / "cache"), str(tmp_path / "setting.py")])
    assert trouble == ""
    assert 'setting.py:6: error: Property "trial" defined in "Stopped" is read-only' in said
