"""What is written down about what ran."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from clustertune.agent.provenance import Describer
from clustertune.model.instance import Gpu, Inventory
from clustertune.model.messages import Described, RunSpec

MACHINE = Inventory(2.0, 2**30, (Gpu(0, "H200", 2**37),), hostname="here")


def describer(told: list[Described] | None = None) -> Describer:
    return Describer(MACHINE, lambda build: told is not None and told.append(build(len(told) + 1)))


def described(folder: Path, files: Any = None) -> tuple[str, dict[str, Any]]:
    run = RunSpec(workdir=str(folder), command="python train.py")
    return asyncio.run(describer().describe(run, sys.executable, dict(os.environ), files))


def git(folder: Path, *words: str) -> str:
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    done = subprocess.run(["git", "-C", str(folder), *who, *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_interpreter_packages_and_machine_are_named(tmp_path: Path) -> None:
    digest, content = described(tmp_path)
    assert content["python"] == ".".join(map(str, sys.version_info[:3]))
    assert any(package.startswith("pytest ") for package in content["packages"])
    assert content["machine"]["hostname"] == "here"
    assert content["machine"]["gpus"][0]["name"] == "H200"
    assert len(digest) == 64


def test_a_commit_is_named_and_whether_the_files_differ_from_it(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("x = 1\n")
    git(tmp_path, "init", "-q", "-b", "trunk")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "one")
    clean = described(tmp_path)[1]["code"]
    assert clean["commit"] == git(tmp_path, "rev-parse", "HEAD")
    assert (clean["changed"], clean["branch"], clean["files"], clean["whole"]) == (False, "trunk", 1, True)
    (tmp_path / "train.py").write_text("x = 2\n")
    changed = described(tmp_path)[1]["code"]
    assert changed["changed"]
    assert changed["digest"] != clean["digest"]


def test_the_digest_is_that_of_the_content_and_not_of_where_it_lies(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name / "lib").mkdir(parents=True)
        (tmp_path / name / "train.py").write_text("x = 1\n")
        (tmp_path / name / "lib" / "part.py").write_text("y = 1\n")
        (tmp_path / name / "__pycache__").mkdir()
        (tmp_path / name / "__pycache__" / "x.pyc").write_text(name)
    one, two = (described(tmp_path / name)[1]["code"] for name in ("a", "b"))
    assert one == two
    (tmp_path / "b" / "lib" / "part.py").write_text("y = 2\n")
    assert described(tmp_path / "b")[1]["code"]["digest"] != one["digest"]


def test_of_a_warm_parent_just_what_it_imported_counts(tmp_path: Path) -> None:
    for name in ("train.py", "other.py"):
        (tmp_path / name).write_text("x = 1\n")
    files = [(str(tmp_path / "train.py"), 0, 0)]
    before = described(tmp_path, files)[1]["code"]
    assert before["files"] == 1
    (tmp_path / "other.py").write_text("x = 2\n")
    assert described(tmp_path, files)[1]["code"]["digest"] == before["digest"]


def test_what_is_too_much_is_left_out_and_said(tmp_path: Path) -> None:
    (tmp_path / "data.bin").write_bytes(b"0" * (1024 * 1024 + 1))
    (tmp_path / "train.py").write_text("x = 1\n")
    code = described(tmp_path)[1]["code"]
    assert (code["files"], code["whole"]) == (1, False)


def test_what_cannot_be_found_out_is_empty(tmp_path: Path) -> None:
    run = RunSpec(workdir=str(tmp_path / "gone"), command="x")
    _, content = asyncio.run(describer().describe(run, "/no/such/python", {}, None))
    assert (content["python"], content["packages"]) == ("", [])
    assert content["code"] == {"commit": "", "digest": "", "files": 0, "whole": True}


def test_many_who_ask_at_once_make_one_question(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("x = 1\n")
    asked = tmp_path / "asked"
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\necho x >>{asked}\nexec {sys.executable} "$@"\n')
    python.chmod(0o700)

    async def main() -> set[str]:
        shared = describer()
        run = RunSpec(workdir=str(tmp_path), command="x")
        return {d for d, _ in await asyncio.gather(*(shared.describe(run, str(python), {}, None) for _ in range(5)))}

    assert len(asyncio.run(main())) == 1
    assert asked.read_text() == "x\n"


def test_the_description_itself_is_told_once_and_named_by_all(tmp_path: Path) -> None:
    told: list[Described] = []

    async def main() -> None:
        shared = describer(told)
        run = RunSpec(workdir=str(tmp_path), command="x")
        for number in range(3):
            shared.begin(f"a:{number}:1", run, sys.executable, dict(os.environ), None)
        while len(told) < 3:
            await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(main(), 30))
    assert len({message.provenance for message in told}) == 1
    assert [bool(message.content) for message in told] == [True, False, False]
    assert {message.attempt for message in told} == {"a:0:1", "a:1:1", "a:2:1"}
