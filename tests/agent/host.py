"""A machine as the agent file finds it: a Python, a folder for us, and nothing installed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clustertune.model.checkpoint import FileEntry, Manifest, Part
from clustertune.model.codec import to_plain
from clustertune.provisioner.bootstrap.agent_file import agent_file

PATIENCE_S = 20.0
_NAMES = ("python3.10", "python3.11", "python3.12", "python3.13", "python3.14")


def pythons(new_enough: bool = True) -> Iterator[Path]:
    """Those of this machine, each version once."""
    own = [Path(sys.base_prefix, "bin", "python3")]
    named = [Path(path) for name in _NAMES if (path := shutil.which(name)) and "shims" not in path]
    seen = set[str]()
    for path in [*own, *sorted(Path(own[0]).parents[2].glob("*/bin/python")), *named]:
        version = subprocess.run(
            [path, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"],
            capture_output=True, text=True, check=False,
        ).stdout.strip()  # fmt: skip
        if version and version not in seen and (tuple(map(int, version.split("."))) >= (3, 10)) is new_enough:
            seen.add(version)
            yield path


@dataclass(frozen=True)
class Answer:
    code: int
    plain: dict[str, Any]
    errors: str

    @property
    def error(self) -> str:
        assert self.code == 1, self
        return str(self.plain["error"])


class Host:
    """``root`` is our folder there. What verbs find in their environment is ``environment``."""

    def __init__(self, folder: Path, python: Path | None = None) -> None:
        self.folder, self.python = folder, python or next(pythons())
        self.file = folder / f"agent-{agent_file().digest[:12]}.pyz"
        self.file.write_bytes(agent_file().data)
        self.root = folder / "r"
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "COVERAGE"))}
        self.environment = {**kept, "HOME": str(folder)}

    def command(self, verb: str) -> list[str]:
        return [str(self.python), str(self.file), verb, "--root", str(self.root)]

    def open(self, verb: str, **more: Any) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self.command(verb), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=self.environment, **more,
        )  # fmt: skip

    def run(self, verb: str, given: bytes | Mapping[str, Any] = b"", **more: Any) -> Answer:
        data = given if isinstance(given, bytes) else json.dumps(given).encode()
        process = self.open(verb, **more)
        output, errors = process.communicate(data, PATIENCE_S * 3)
        assert output.strip(), errors.decode()
        return Answer(process.returncode, json.loads(output.splitlines()[-1]), errors.decode(errors="replace"))

    def ask(self, verb: str, given: bytes | Mapping[str, Any] = b"", **more: Any) -> dict[str, Any]:
        answer = self.run(verb, given, **more)
        assert answer.code == 0, answer
        return answer.plain

    def send(self, files: Mapping[str, bytes]) -> Manifest:
        """Brings a working directory's parts there."""
        manifest = manifest_of(files)
        missing = self.ask("want", manifest.encode())["missing"]
        contents = {
            part.digest: data for file, data in zip(manifest.files, _sorted(files), strict=True) for part in file.parts
        }
        self.ask("take", b"".join(f"{digest} {size}\n".encode() + contents[digest] for digest, size in missing.items()))
        return manifest

    def lay(self, manifest: Manifest, *keep: str) -> Path:
        return Path(self.ask("lay", {"manifest": to_plain(manifest), "keep": list(keep)})["path"])


def manifest_of(files: Mapping[str, bytes], mode: int = 0o644) -> Manifest:
    """Of files that are one part each."""
    return Manifest(
        tuple(FileEntry(name, mode, _parts(data)) for name, data in zip(sorted(files), _sorted(files), strict=True))
    )


def _parts(data: bytes) -> tuple[Part, ...]:
    import hashlib

    return (Part(hashlib.sha256(data).hexdigest(), len(data)),) if data else ()


def _sorted(files: Mapping[str, bytes]) -> list[bytes]:
    return [files[name] for name in sorted(files)]


def until(what: Callable[[], object], patience_s: float = PATIENCE_S) -> None:
    deadline = time.monotonic() + patience_s
    while not what():
        assert time.monotonic() < deadline, "never came"
        time.sleep(0.01)
