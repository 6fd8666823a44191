"""Whether the program is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from clustertune.definition import check_program, load_experiment
from clustertune.search.registry import Registry


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "train.py").write_text(
        "from json import loads as read\n"
        "try:\n    import numpy\nexcept ImportError:\n    numpy = None\n"
        "def train(config):\n    raise SystemExit\n"
        "class Trainer:\n    def fit(self, config): ...\n"
        "alias, (other, *rest) = train, (1, 2)\n"
        "if True:\n    def late(config): ...\n"
    )
    (tmp_path / "broken.py").write_text("x = 1\ndef f(:\n")
    (tmp_path / "starred.py").write_text("from os.path import *\n")
    package = tmp_path / "lab"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "fit.py").write_text("def run(config): ...\n")
    script = tmp_path / "run.sh"
    script.write_text("#!/bin/sh\n")
    return tmp_path


def told(project: Path, run: str, extra: str = "") -> list[str]:
    text = f"run: {run}\nspace: {{lr: {{type: float, low: 0, high: 1}}}}\nobjective: {{metric: loss}}\n{extra}"
    file = project / "experiment.yaml"
    file.write_text(text)
    definition = load_experiment(file, registry=Registry.default())
    return [
        str(problem).removeprefix(f"{file}:")
        for problem in check_program(definition, project, registry=Registry.default())
    ]


@pytest.mark.parametrize("name", ["train", "alias", "other", "rest", "late", "read", "numpy", "Trainer", "Trainer.fit"])
def test_whatever_a_module_binds_can_be_called(project: Path, name: str) -> None:
    assert told(project, f'{{call: "train:{name}"}}') == []


def test_packages_and_installed_modules_are_found(project: Path) -> None:
    assert told(project, '{call: "lab.fit:run"}') == []
    assert told(project, '{call: "json:dumps"}') == []
    assert told(project, '{call: "starred:anything"}') == []


def test_a_missing_module_is_told_with_the_nearest(project: Path) -> None:
    [found] = told(project, '{call: "trian:train"}')
    assert found.startswith("1: run.call: there is no module 'trian' in ")
    assert found.endswith("; did you mean 'train'?")


def test_a_missing_function_is_told_with_the_nearest(project: Path) -> None:
    assert told(project, '{call: "train:trian"}') == [
        f"1: run.call: {project / 'train.py'} defines no 'trian'; did you mean 'train'?"
    ]


def test_a_module_that_is_no_python_is_told_with_its_line(project: Path) -> None:
    assert told(project, '{call: "broken:f"}') == [
        f"1: run.call: {project / 'broken.py'}:2 is not valid Python: invalid syntax"
    ]


def test_a_module_for_another_interpreter_may_be_installed_there(project: Path) -> None:
    assert told(project, '{call: "elsewhere:f"}', "python: /bin/sh\n") == []


def test_an_interpreter_must_be_a_program(project: Path) -> None:
    assert told(project, '{call: "train:train"}', "python: /no/python\n") == [
        "4: python: there is no program '/no/python'; name an interpreter by its path"
    ]


@pytest.mark.parametrize(
    "command", ["sh -c true", "python train.py", "python -m lab.fit", "'{lr}'", "python '{lr}.py'"]
)
def test_programs_that_are_there_or_cannot_be_known_are_fine(project: Path, command: str) -> None:
    assert told(project, f'{{command: "{command}"}}') == []


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("no-such-program x", "there is no program 'no-such-program' in PATH; install it, or write its path"),
        ("run.sh", "there is no program 'run.sh'; for the file in the folder write ./run.sh, or python run.sh"),
        ("./run.sh", "there is no program './run.sh'; the file is not executable: run chmod +x ./run.sh"),
        ("python trian.py", "there is no file 'trian.py' in"),
    ],
)
def test_programs_that_are_not_there_are_told_with_a_remedy(project: Path, command: str, message: str) -> None:
    [found] = told(project, f'{{command: "{command}"}}')
    assert message in found


def test_a_shell_command_is_left_to_the_shell(project: Path) -> None:
    assert told(project, '{command: "nope | nope", shell: true}') == []


def test_a_missing_folder_is_told(project: Path) -> None:
    definition = load_experiment(
        "run: {call: 'a:b'}\nspace: {x: {type: int, low: 1, high: 2}}\nobjective: {metric: m}\n",
        registry=Registry.default(),
    )
    [found] = check_program(definition, project / "gone", registry=Registry.default())
    assert found.message == f"there is no folder {project / 'gone'}"


def test_only_what_a_module_defines_itself_is_offered(project: Path) -> None:
    (project / "small.py").write_text("import os\nLIMIT = 3\nclass Net: ...\ndef fit(config): ...\n")
    assert told(project, '{call: "small:xyzzy"}') == [
        f"1: run.call: {project / 'small.py'} defines no 'xyzzy'; known: Net, fit"
    ]
