"""A program that cannot take checkpoints under a scheduler that pauses is told so before anything starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from clustertune.definition import check_program, load_experiment
from clustertune.search.registry import Registry

PAUSING = "scheduler: asha-promotion\nresource: {name: epoch, max: 9}\n"


def told(folder: Path, run: str, extra: str = PAUSING) -> list[str]:
    file = folder / "experiment.yaml"
    file.write_text(
        f"run: {run}\nspace: {{lr: {{type: float, low: 0, high: 1}}}}\nobjective: {{metric: loss}}\n{extra}"
    )
    registry = Registry.default()
    definition = load_experiment(file, registry=registry)
    return [problem.message for problem in check_program(definition, folder, registry=registry)]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "train.py").write_text("def train(config): ...\n")
    script = tmp_path / "train.sh"
    script.write_text("#!/bin/sh\necho loss=1\n")
    script.chmod(0o700)
    return tmp_path


@pytest.mark.parametrize("run", ['{call: "train:train"}', "{command: ./train.sh}"])
def test_a_program_that_never_saves_is_refused_with_what_to_do(project: Path, run: str) -> None:
    [message] = told(project, run)
    assert "asha-promotion pauses trials" in message
    assert "new_checkpoint" in message
    assert "first epoch" in message


@pytest.mark.parametrize(
    ("file", "text", "run"),
    [
        (
            "train.py",
            "with clustertune.new_checkpoint() as folder: ...\ndef train(config): ...",
            '{call: "train:train"}',
        ),
        ("train.sh", "#!/bin/sh\nmv tmp $CLUSTERTUNE_CHECKPOINTS/1", "{command: ./train.sh}"),
        (
            "train.py",
            "from clustertune.integrations.lightning import ClustertuneCallback",
            "{command: python train.py}",
        ),
    ],
)
def test_one_that_saves_is_not(project: Path, file: str, text: str, run: str) -> None:
    (project / file).write_text(text)
    assert told(project, run) == []


def test_what_a_program_imports_from_beside_it_counts(project: Path) -> None:
    (project / "lab").mkdir()
    (project / "train.py").write_text("from lab import loop\ndef train(config): ...\n")
    assert told(project, '{call: "train:train"}') != []
    (project / "lab" / "loop.py").write_text("from clustertune import new_checkpoint\n")
    assert told(project, '{call: "train:train"}') == []


def test_comments_and_what_lies_about_say_nothing(project: Path) -> None:
    (project / "train.py").write_text("# new_checkpoint\ndef train(config): ...\n")
    (project / "other.py").write_text("from clustertune import new_checkpoint\n")
    assert told(project, '{call: "train:train"}') != []
    assert told(project, "{command: \"sh -c 'echo loss=1'\"}") != []


def test_who_says_that_it_saves_is_believed(project: Path) -> None:
    assert told(project, "{command: ./train.sh}", PAUSING + "checkpoints: {supported: true}\n") == []


def test_who_says_that_it_does_not_is_believed_too(project: Path) -> None:
    (project / "train.py").write_text("# new_checkpoint\ndef train(config): ...\n")
    [message] = told(project, '{call: "train:train"}', PAUSING + "checkpoints: {supported: false}\n")
    assert "takes no checkpoints" in message


def test_where_every_level_is_a_fresh_run_nothing_needs_saving(project: Path) -> None:
    levels = "scheduler: asha-promotion\nresource: {name: share, max: 9, cumulative: false}\n"
    assert told(project, "{command: ./train.sh}", levels) == []


def test_a_scheduler_that_does_not_pause_asks_nothing(project: Path) -> None:
    assert told(project, "{command: ./train.sh}", "scheduler: asha\nresource: {name: epoch, max: 9}\n") == []
