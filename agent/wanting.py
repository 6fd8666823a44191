"""The verb ``want``: which parts of a working directory are not on this machine yet."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import BinaryIO

from clustertune.agent.given import read_all
from clustertune.agent.parts import is_here
from clustertune.agent.root import Hindered, Root
from clustertune.model.checkpoint import read_manifest
from clustertune.model.workdir import MAX_MANIFEST_BYTES


def answer(root: Root, given: BinaryIO) -> dict[str, object]:
    """Takes a manifest. What is here is kept for a while from now on. Raises Hindered, OSError."""
    try:
        manifest = read_manifest(read_all(given, MAX_MANIFEST_BYTES), limit_bytes=MAX_MANIFEST_BYTES)
    except ValueError as error:
        raise Hindered(str(error)) from error
    parts, missing = root.parts, {}
    for digest, size_bytes in manifest.parts.items():
        if is_here(parts, digest, size_bytes):
            with suppress(OSError):
                os.utime(parts / digest)
        else:
            missing[digest] = size_bytes
    return {"missing": missing}
