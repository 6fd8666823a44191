"""What bootstrap asks of a machine: to run commands there, one after the other or several at once."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command ended: its exit code (None where a signal or the connection ended it) and all that it wrote."""

    code: int | None
    output: bytes
    errors: bytes


class Remote(Protocol):
    """A machine, over a connection that is open."""

    async def run(
        self,
        command: str,
        *,
        given: bytes | AsyncIterable[bytes] = b"",
        heard: Callable[[bytes], None] | None = None,
    ) -> Ran:
        """Runs ``command`` in the login shell, with ``given`` on its standard input, until it has ended.

        ``heard`` is called with what it writes on its standard error, as it comes. Raises ProviderError where the
        connection is lost meanwhile. Cancelled: the command is ended.
        """
        ...
