"""What every provider promises; the coordinator knows no more about any of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchIntent:
    """One machine to bring up, as the journal holds it. ``instance`` and ``epoch`` make the idempotency token.

    ``token`` is the agent's; it travels on standard input only. ``agent_socket`` is where the coordinator listens,
    ``files_socket`` where it takes and gives checkpoints.
    """

    instance: str
    epoch: int
    token: str = field(repr=False)
    agent_socket: Path
    files_socket: Path
    slots: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A machine of ours that exists. ``epoch`` is that of its last launch."""

    instance: str
    epoch: int


class Provider(Protocol):
    """Where machines come from. Every call is idempotent; all block, so they are made in a thread.

    Each raises ProviderError: ProviderFatal where only the user can help, others where trying again may.
    """

    def launch(self, intent: LaunchIntent) -> None:
        """Brings the machine up, or returns at once when this very launch was made before."""
        ...

    def list(self) -> Sequence[Found]:
        """The machines that exist and whose agent lives, as far as the provider can tell."""
        ...

    def terminate(self, instances: Sequence[str]) -> None:
        """Ends machines, agents and all; those that are gone already are no error."""
        ...

    def last_words(self, instance: str) -> str:
        """The end of the agent's own log, to be shown when it did not come up."""
        ...
