"""Where this user's clusters live on this machine."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from clustertune.model.codec import FieldError, from_plain
from clustertune.model.errors import Mistake

DEFAULT_CLUSTER = "local"


@dataclass(frozen=True)
class Record:
    """What a running coordinator wrote about itself. ``started`` is in seconds since 1970."""

    pid: int
    port: int
    version: str
    protocol: int
    started: float


@dataclass(frozen=True)
class ClusterFolder:
    """One cluster's folder: its definition, and what its coordinator writes."""

    home: Path
    name: str

    @property
    def path(self) -> Path:
        return self.home / "clusters" / self.name

    @property
    def definition(self) -> Path:
        return self.path / "cluster.json"

    @property
    def log(self) -> Path:
        return self.path / "coordinator.log"

    def read_files(self, folder: Path) -> Path:
        """What is remembered of the files of a folder that was sent to machines."""
        return self.path / "read-files" / f"{hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]}.json"

    def record(self) -> Record | None:
        """Who runs, or last ran, this cluster; None where nobody did or the file is not readable as a record."""
        try:
            plain = json.loads((self.path / "coordinator.json").read_text("utf-8"))
            record: Record = from_plain(Record, plain)
        except (OSError, ValueError, FieldError):
            return None
        return record

    def token(self) -> str:
        """The REST API's token; empty where there is none."""
        return _text_of(self.path / "token").strip()

    def stored_definition(self) -> dict[str, object] | None:
        """The cluster's definition as it was last written; None where there is none."""
        text = _text_of(self.definition)
        try:
            plain = json.loads(text) if text else None
        except ValueError as error:
            raise Mistake(f"{self.definition} is not JSON ({error}); delete it, and it is written again") from error
        return plain if isinstance(plain, dict) else None

    def store_definition(self, plain: Mapping[str, object]) -> None:
        """Writes ``cluster.json``, whole or not at all."""
        make_private(self.path)
        draft = self.definition.with_suffix(f".{os.getpid()}")
        try:
            draft.touch(mode=0o600)
            draft.write_text(json.dumps(plain, indent=2) + "\n", "utf-8")
            draft.replace(self.definition)
        except OSError as error:
            draft.unlink(missing_ok=True)
            raise _unusable("write to", error) from error


@dataclass(frozen=True)
class Home:
    """``$CLUSTERTUNE_HOME``, by default ``~/.clustertune``; only its user may look inside."""

    path: Path

    @classmethod
    def from_environment(cls) -> Home:
        given = os.environ.get("CLUSTERTUNE_HOME")
        return cls(Path(given).expanduser().absolute() if given else Path.home() / ".clustertune")

    def problem(self) -> str | None:
        """Why it cannot be used; None where it can, or can be made when it is first needed."""
        for folder in (self.path, self.path / "clusters"):
            if trouble := _folder_problem(folder):
                return trouble
        return None

    def check(self) -> None:
        """Raises Mistake where it cannot be used."""
        if trouble := self.problem():
            raise Mistake(f"{trouble}; put that right, or set CLUSTERTUNE_HOME to a folder that is yours")

    def cluster(self, name: str) -> ClusterFolder:
        return ClusterFolder(self.path, name)

    def clusters(self) -> tuple[ClusterFolder, ...]:
        """The clusters that have a definition here, by name."""
        found = sorted(path.parent.name for path in self.path.glob("clusters/*/cluster.json"))
        return tuple(map(self.cluster, found))


def _folder_problem(folder: Path) -> str | None:
    nearest = next(part for part in (folder, *folder.parents) if os.path.lexists(part))
    needed = {"read": os.R_OK, "written to": os.W_OK, "entered": os.X_OK}
    if not nearest.is_dir():
        return f"{nearest} is not a folder, and clustertune keeps its state in {folder}"
    if nearest != folder:
        needed.pop("read")
    lacking = [what for what, mode in needed.items() if not os.access(nearest, mode)]
    return f"the folder {nearest} may not be {' or '.join(lacking)} by you" if lacking else None


def make_private(folder: Path) -> None:
    """Makes the folder and the missing ones above it, closed to other users. Raises Mistake where that cannot be."""
    missing = [part for part in (folder, *folder.parents) if not part.exists()]
    try:
        for part in reversed(missing):
            part.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise _unusable("write to", error) from error


def _text_of(path: Path) -> str:
    """Empty where there is no such file. Raises Mistake where it cannot be read."""
    try:
        return path.read_text("utf-8")
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise _unusable("read", error) from error


def _unusable(what: str, error: OSError) -> Mistake:
    return Mistake(
        f"cannot {what} {error.filename}: {error.strerror}; put that right, "
        "or set CLUSTERTUNE_HOME to a folder that is yours"
    )
