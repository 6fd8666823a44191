"""How much the program of an experiment may be that is sent to machines."""

from __future__ import annotations

MAX_FILES = 200_000
MAX_BYTES = 5_000_000_000
MAX_MANIFEST_BYTES = 64 * 1024 * 1024
"""That many files, with paths of 150 letters."""
