"""The verb ``lay``: a working directory from its parts, whole or not at all, and nothing of those of the past."""

from __future__ import annotations

import json
import tempfile
from functools import partial
from pathlib import Path
from typing import BinaryIO

from clustertune.agent.filling import Damaged, Filling
from clustertune.agent.given import read_object, texts
from clustertune.agent.parts import reading, remove_all_but
from clustertune.agent.removal import remove
from clustertune.agent.root import Hindered, Root, write_whole
from clustertune.agent.untrusted import is_folder, read_text
from clustertune.model.checkpoint import Manifest, is_digest, read_manifest
from clustertune.model.workdir import MAX_MANIFEST_BYTES

_FOR_THE_REST_BYTES = 1024 * 1024


def answer(root: Root, given: BinaryIO) -> dict[str, object]:
    """Takes ``manifest``, and ``keep``: digests of others that stay. Raises Hindered, OSError."""
    plain = read_object(given, MAX_MANIFEST_BYTES + _FOR_THE_REST_BYTES)
    try:
        manifest = read_manifest(json.dumps(plain.get("manifest")).encode(), limit_bytes=MAX_MANIFEST_BYTES)
    except ValueError as error:
        raise Hindered(str(error)) from error
    digest = manifest.digest()
    with root.locked("lay"):
        target = root.workdirs / digest
        if not is_folder(target):
            _lay(root, manifest, target)
        _remove_others(root, {digest, *texts(plain, "keep")})
    return {"path": str(target)}


def _lay(root: Root, manifest: Manifest, target: Path) -> None:
    """Copies, rather than links: a program may write into it."""
    remove(target)
    write_whole(root.manifests / f"{target.name}.json", manifest.encode())
    fresh = Path(tempfile.mkdtemp(dir=root.workdirs, prefix="."))
    try:
        _fill(root.parts, manifest, fresh)
        fresh.rename(target)
    finally:
        remove(fresh)


def _fill(parts: Path, manifest: Manifest, fresh: Path) -> None:
    filling = Filling(manifest, fresh)
    filling.make()
    for digest in filling.parts:
        try:
            filling.write(digest, partial(reading, parts))
        except FileNotFoundError as error:
            raise Hindered(f"the part {digest} is not on this machine; ask what it wants, and send that") from error
        except Damaged as error:
            remove(parts / digest)
            raise Hindered(f"{error}; it was damaged on this machine's disk, send it again") from error
    filling.set_modes()


def _remove_others(root: Root, kept: set[str]) -> None:
    for path in root.workdirs.iterdir():
        if path.name not in kept:
            remove(path)
    needed = set[str]()
    for path in root.manifests.iterdir():
        if path.stem not in kept or not is_digest(path.stem):
            remove(path)
        else:
            needed |= _parts_of(path)
    remove_all_but(root.parts, needed)


def _parts_of(path: Path) -> set[str]:
    try:
        return set(read_manifest(read_text(path).encode(), limit_bytes=MAX_MANIFEST_BYTES).parts)
    except (OSError, ValueError):
        return set()
