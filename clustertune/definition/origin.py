"""Where a definition was read, so that what is found wrong later can be located too."""

from __future__ import annotations

from dataclasses import dataclass, field

from clustertune.definition.document import Document, FieldPath
from clustertune.model.errors import Problem


@dataclass(frozen=True)
class Origin:
    """The document, where there is one. Two definitions that say the same are equal, wherever they were read."""

    document: Document = field(default_factory=lambda: Document(tree={}, file="definition"), compare=False)

    def problem(self, path: FieldPath, message: str) -> Problem:
        return self.document.problem(path, message)
