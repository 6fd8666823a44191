"""What an examination finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Finding:
    """One thing looked at. ``remedy`` says what to do where ``level`` is warn or fail."""

    level: Literal["ok", "info", "warn", "fail"]
    what: str
    remedy: str = ""
