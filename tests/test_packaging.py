"""What is installed is what is in the folders, from a clone, a download without links, a wheel or an sdist."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

from tests.conftest import TestHome

ROOT = Path(__file__).parent.parent
MAPPED = ("agent", "coordinator", "provisioner", "search", "templates")
NOT_SOURCE = shutil.ignore_patterns(
    ".git", ".venv", "build", "dist", "*.egg-info", "__pycache__", ".*_cache", ".hypothesis", ".coverage*", "results",
    ".environments",
)  # fmt: skip
BUILD = "import sys, setuptools.build_meta as backend; print(getattr(backend, sys.argv[1])(sys.argv[2]))"


@pytest.fixture(scope="module")
def download(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tree as a zip file gives it: no .git, and text where the links were."""
    folder = tmp_path_factory.mktemp("download") / "clustertune-main"
    shutil.copytree(ROOT, folder, symlinks=True, ignore=NOT_SOURCE)
    for name in MAPPED:
        link = folder / "clustertune" / name
        link.unlink(missing_ok=True)
        link.write_text(f"../{name}")
    return folder


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tree as git gives it, links and all."""
    folder = tmp_path_factory.mktemp("clone") / "clustertune"
    shutil.copytree(ROOT, folder, symlinks=True, ignore=NOT_SOURCE)
    for name in MAPPED:
        link = folder / "clustertune" / name
        link.unlink(missing_ok=True)
        link.symlink_to(f"../{name}")
    return folder


@pytest.fixture(scope="module")
def wheel(clone: Path) -> Path:
    return build(clone, "build_wheel")


def build(tree: Path, hook: str) -> Path:
    """Runs the build backend in the tree; the file that it made."""
    out = tree.parent / hook
    out.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", BUILD, hook, str(out)], cwd=tree, check=True, capture_output=True, text=True
    )
    return out / done.stdout.splitlines()[-1]


def install(what: Path, environment: Path) -> Path:
    """A clean environment with it; its bin folder. With uv where there is one: it is much quicker."""
    links = {"UV_FIND_LINKS": os.environ["PIP_FIND_LINKS"]} if "PIP_FIND_LINKS" in os.environ else {}
    python = environment / "bin" / "python"
    if shutil.which("uv"):
        run(["uv", "venv", "-q", "--python", sys.executable, str(environment)])
        run(["uv", "pip", "install", "-q", "--python", str(python), str(what)], **links)
    else:
        run([sys.executable, "-m", "venv", str(environment)])
        run([str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", str(what)])
    return environment / "bin"


def run(command: list[str], cwd: Path | None = None, **environment: str) -> str:
    done = subprocess.run(
        command, cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


def sources(folder: Path, package: str) -> set[str]:
    """Files below a folder, named as they are inside the package."""
    found = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {str(Path(package, path.relative_to(folder))) for path in found}


def test_the_packages_listed_are_the_folders_on_disk() -> None:
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    found = {f"clustertune.{'.'.join(path.parent.parts)}" for name in MAPPED for path in packages(ROOT / name, ROOT)}
    found |= {".".join(path.parent.parts) for path in packages(ROOT / "clustertune", ROOT)}
    assert set(tool["packages"]) == found
    assert tool["package-dir"] == {"clustertune": "clustertune"} | {f"clustertune.{name}": name for name in MAPPED}


def packages(folder: Path, root: Path) -> list[Path]:
    """Every __init__.py, not through links."""
    found = []
    for parent, folders, files in os.walk(folder):  # which does not follow links
        folders[:] = [name for name in folders if not Path(parent, name).is_symlink()]
        if "__init__.py" in files:
            found.append(Path(parent, "__init__.py").relative_to(root))
    return found


def test_a_wheel_holds_every_module_and_template(wheel: Path) -> None:
    expected = {"clustertune/py.typed"}
    for name in MAPPED:
        expected |= sources(ROOT / name, f"clustertune/{name}")
    own = {name for name in sources(ROOT / "clustertune", "clustertune") if Path(name).parts[1] not in MAPPED}
    assert names(wheel) == expected | own


def test_a_download_without_links_gives_the_same_wheel(wheel: Path, download: Path) -> None:
    assert names(build(download, "build_wheel")) == names(wheel)


def test_an_sdist_gives_the_same_wheel(wheel: Path, clone: Path, tmp_path: Path) -> None:
    with tarfile.open(build(clone, "build_sdist")) as archive:
        archive.extractall(tmp_path, filter="data")
    (unpacked,) = tmp_path.iterdir()
    assert names(build(unpacked, "build_wheel")) == names(wheel)


def test_a_wheel_in_a_clean_environment_does_the_main_job(wheel: Path, home: TestHome, tmp_path: Path) -> None:
    program = str(install(wheel, tmp_path / "environment") / "clustertune")
    run([program, "init", "minimal"], cwd=tmp_path)
    shown = run([program, "tune", "minimal/experiment.yaml", "--json", "--set", "trials=5"], cwd=tmp_path)
    assert json.loads(shown.splitlines()[-1])["trials"] == {"completed": 5}


def test_a_download_is_set_up_in_place_and_does_the_main_job_twice(download: Path, home: TestHome) -> None:
    for _ in range(2):
        run(["sh", ".ci/set-up", "demo"], cwd=download, PYTHON=sys.executable)
        program, definition = ".venv/bin/clustertune", "templates/minimal/experiment.yaml"
        shown = run([program, "tune", definition, "--json", "--set", "trials=5"], cwd=download)
        assert json.loads(shown.splitlines()[-1])["trials"] == {"completed": 5}


def test_importing_clustertune_loads_the_standard_library_only(clone: Path) -> None:
    code = "import sys, clustertune; print('\\n'.join(sys.modules))"
    loaded = run([sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {str(clone)!r}); {code}"])
    foreign = (
        {name.partition(".")[0] for name in loaded.split()} - sys.stdlib_module_names - {"clustertune", "__main__"}
    )
    assert foreign == set()
