"""Where checkpoints may be kept: the form of the URL, and no more."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")
_SCHEMES = ("s3", "gs")


def storage_problem(url: str) -> str | None:
    """What is wrong with a storage; None for a bucket with or without a prefix, and for a folder's absolute path."""
    scheme, separator, path = url.partition("://")
    if not separator:
        return None if url.startswith("/") else f"found {url!r}; {_allowed()}"
    if scheme == "file":
        return None if path.startswith("/") else f"found {url!r}; a folder is file:///path, or its absolute path"
    if scheme not in _SCHEMES:
        near = "; Google Storage is gs://" if scheme in ("gcs", "google") else ""
        return f"there is no storage {scheme}://{near}; {_allowed()}"
    parts = urlsplit(url)
    if parts.query or parts.fragment or "@" in parts.netloc:
        return f"{scheme}://bucket/prefix has no credentials, ? or # in it: credentials come from the environment"
    if not _BUCKET.fullmatch(parts.netloc):
        return f"{parts.netloc!r} is no name of a bucket; write {scheme}://bucket/prefix"
    return None


def _allowed() -> str:
    return "write s3://bucket/prefix, gs://bucket/prefix, or the absolute path of a folder"
