"""How a command names values: ``{lr}``, ``{args}`` for all of them, and doubled braces for braces themselves."""

from __future__ import annotations

import re

PLACEHOLDER = re.compile(r"\{\{|\}\}|\{([A-Za-z_][\w.\-]*)\}")
"""The name is the first group; it is None for a doubled brace."""

ALL_ARGUMENTS = "args"
