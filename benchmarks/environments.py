"""An environment for each tuner, made with uv; ours from a wheel, as users install it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = Path(__file__).resolve().parent / ".environments"

REQUIREMENTS = {
    "ray": ("ray[tune]==2.60.0", "scikit-learn"),
    "syne-tune": ("syne-tune[basic]==0.16.0", "scikit-learn", "huggingface_hub", "fastparquet"),
    "optuna": ("optuna==5.0.0", "scikit-learn"),
    "optuna-search": ("optuna==5.0.0", "scipy", "torch"),
}

_NO_SOURCES = ("*.egg-info", ".*", "__pycache__", "build", "dist", "benchmarks", "tests", "docs")


def prepare(name: str) -> Path:
    """The interpreter of the tuner's environment, which is made or brought up to date first."""
    python = FOLDER / name / "bin" / "python"
    if name == "clustertune":
        _make(name)
        _install_ours(python)
        return python
    stamp, wanted = FOLDER / name / "requirements.txt", "\n".join(REQUIREMENTS[name])
    if not stamp.exists() or stamp.read_text() != wanted:
        print(f"installing {', '.join(REQUIREMENTS[name])} into {FOLDER / name}", file=sys.stderr, flush=True)
        _make(name)
        _uv("pip", "install", "--python", str(python), *REQUIREMENTS[name])
        stamp.write_text(wanted)
    return python


def _make(name: str) -> None:
    if not (FOLDER / name / "bin" / "python").exists():
        _uv("venv", "--python", sys.executable, str(FOLDER / name))


def _install_ours(python: Path) -> None:
    """Builds from a copy: a build inside the checkout would leave its traces there, and pick up those of others."""
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / "clustertune"
        shutil.copytree(ROOT, copy, symlinks=True, ignore=shutil.ignore_patterns(*_NO_SOURCES))
        _uv("pip", "install", "--python", str(python), "--reinstall-package", "clustertune", str(copy))


def _uv(*arguments: str) -> None:
    # uv does not read pip's settings; the sourced file hands them over, and asks for compiled bytecode.
    script = '. .ci/package-index && exec "$@"'
    environment = os.environ | {"python": sys.executable}
    command = ["sh", "-c", script, "sh", _uv_program(), *arguments, "--quiet"]
    subprocess.run(command, cwd=ROOT, env=environment, check=True)


def _uv_program() -> str:
    found = shutil.which("uv")
    if found and subprocess.run([found, "--version"], capture_output=True, check=False).returncode == 0:
        return found
    own = FOLDER / "uv" / "bin"
    if not (own / "uv").exists():
        venv.create(own.parent, with_pip=True)
        subprocess.run([own / "python", "-m", "pip", "install", "--quiet", "uv"], check=True)
    return str(own / "uv")
