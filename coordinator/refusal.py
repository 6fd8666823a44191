"""How the HTTP servers refuse a request."""

from __future__ import annotations


class Refusal(Exception):
    """Answered as ``{"error": …}`` with this status."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
