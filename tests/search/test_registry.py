"""Which algorithms there are, ours and those of installed packages."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from clustertune.model.errors import Mistake, NoSuchName
from clustertune.model.space import Float, Space
from clustertune.search.registry import BrokenPlugin, Registry

SPACE = Space({"x": Float(0, 1)})

PLUGIN = '''
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Options:
    greed: float = field(default=0.5, metadata={"doc": "How greedy.", "minimum": 0, "maximum": 1})


class Greedy:
    """Always proposes the same."""

    Options = Options

    def __init__(self, *, space, seed, initial, options):
        self.options = options

    def suggest(self, trial):
        return {"x": self.options.greed}

    def observe(self, trial, resource, loss):
        pass

    def forget(self, trial):
        pass
'''


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the path that looks as if a package with plug-ins had been installed there."""
    info = tmp_path / "greedy_tuning-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: greedy-tuning\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(
        "[clustertune.searchers]\n"
        "greedy = greedy_tuning_plugin:Greedy\nbroken = greedy_tuning_missing:Gone\n"
        "hollow = greedy_tuning_plugin:dataclass\nrandom = greedy_tuning_plugin:Greedy\n"
    )
    (tmp_path / "greedy_tuning_plugin.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_the_built_in_algorithms_are_listed_with_a_line_about_each() -> None:
    registry = Registry.default()
    assert registry.searcher_names()[:3] == ["random", "grid", "sobol"]
    assert registry.scheduler_names()[:2] == ["fifo", "asha"]
    assert registry.searcher_summary("grid").startswith("Goes through every combination")
    assert registry.scheduler_summary("asha").startswith("Stops early the trials")


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(NoSuchName, match="no scheduler called 'autoo'; did you mean 'auto'"):
        Registry.default().scheduler_options("autoo")
    with pytest.raises(NoSuchName, match="no searcher called 'radnom'; did you mean 'random'"):
        Registry.default().make_searcher("radnom", {}, space=SPACE, seed=0)
    with pytest.raises(NoSuchName, match="did you mean 'asha'"):
        Registry.default().scheduler_options("ahsa")


def test_options_of_the_wrong_type_are_a_mistake() -> None:
    with pytest.raises(Mistake, match="options of grid: points: expected an integer"):
        Registry.default().make_searcher("grid", {"points": "many"}, space=SPACE, seed=0)


@pytest.mark.usefixtures("installed")
def test_an_installed_package_adds_its_own() -> None:
    registry = Registry.default()
    assert "greedy" in registry.searcher_names()
    searcher = registry.make_searcher("greedy", {"greed": 0.75}, space=SPACE, seed=0)
    assert searcher.suggest(0) == {"x": 0.75}
    assert registry.searcher_problems("greedy", {}, space=SPACE) == []


@pytest.mark.usefixtures("installed")
def test_a_built_in_name_cannot_be_taken_over() -> None:
    registry = Registry.default()
    assert registry.searcher_options("random").__name__ == "RandomOptions"
    assert list(registry.searcher_names()).count("random") == 1


@pytest.mark.usefixtures("installed")
def test_a_broken_package_is_named_only_when_its_algorithm_is_used() -> None:
    registry = Registry.default()
    assert "broken" in registry.searcher_names()
    with pytest.raises(BrokenPlugin) as caught:
        registry.make_searcher("broken", {}, space=SPACE, seed=0)
    message = str(caught.value)
    assert "searcher 'broken' of package greedy-tuning 1.2 (greedy_tuning_missing:Gone) cannot be imported" in message
    assert "ModuleNotFoundError" in message
    with pytest.raises(BrokenPlugin, match="is no algorithm: it has no Options"):
        registry.searcher_options("hollow")


def test_nothing_heavy_is_imported_before_it_is_needed() -> None:
    program = (
        "import sys; from clustertune.search.registry import Registry; r = Registry.default()\n"
        "r.searcher_names(); [r.searcher_options(n) for n in r.searcher_names()]\n"
        "print(*({'numpy', 'scipy', 'skopt', 'optuna', 'pydantic'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == ""


RAISING = """

class Raising(Greedy):
    @staticmethod
    def problems(options, *, space):
        raise KeyError("problems")

    @staticmethod
    def design(options, *, space):
        raise KeyError("design")

    def __init__(self, *, space, seed, initial, options):
        raise KeyError("begin")

    def propose(self, count):
        return []
"""


@pytest.mark.parametrize(
    ("method", "ask"),
    [
        ("problems", lambda registry: registry.searcher_problems("raising", {}, space=SPACE)),
        ("design", lambda registry: registry.searcher_design("raising", {}, space=SPACE)),
        ("its constructor", lambda registry: registry.make_searcher("raising", {}, space=SPACE, seed=0)),
    ],
)
def test_one_that_raises_when_it_is_made_or_asked_what_it_needs_is_broken(
    installed: Path, method: str, ask: Callable[[Registry], object]
) -> None:
    (installed / "greedy_tuning_raising.py").write_text(PLUGIN + RAISING)
    entry_points = installed / "greedy_tuning-1.2.dist-info" / "entry_points.txt"
    entry_points.write_text("[clustertune.searchers]\nraising = greedy_tuning_raising:Raising\n")
    told = rf"the searcher raising \(of package greedy-tuning 1.2\) raised KeyError: '\w+' in {method} \(greedy_tuning_"
    with pytest.raises(BrokenPlugin, match=told):
        ask(Registry.default())


def test_a_package_is_told_by_name_and_version(installed: Path) -> None:
    registry = Registry.default()
    assert registry.searcher_package("greedy") == "greedy-tuning 1.2"
    assert registry.searcher_package("random") == registry.scheduler_package("fifo") == ""
    assert registry.searcher_package("gone") == ""
