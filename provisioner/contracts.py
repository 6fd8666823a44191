"""What every provider promises; the coordinator knows no more about any of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from clustertune.model.checkpoint import Manifest

Tell = Callable[[str], None]
"""Takes one line, for people, of what is being done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A user's program as it was when it was submitted. ``part(digest)`` is the file that holds a part's bytes."""

    digest: str
    manifest: Manifest
    part: Callable[[str], Path]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outfit:
    """What trials find on a machine beside the agent. Providers of machines elsewhere bring it there.

    ``setup`` are shell commands that run in the snapshot, ``python`` the interpreter that the definition names there,
    ``env`` and ``secrets`` what the commands have in their environment. ``keep`` are the digests of other snapshots
    that trials on the machine may still need.
    """

    snapshot: Snapshot | None = None
    setup: tuple[str, ...] = ()
    python: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    keep: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Furnished:
    """Where the outfit is on the machine: the folder of the snapshot, and the interpreter for trials."""

    workdir: str
    python: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchIntent:
    """One machine to bring up, as the journal holds it. ``instance`` and ``epoch`` make the idempotency token.

    ``token`` is the agent's; it travels on standard input only. ``agent_socket`` is where the coordinator listens,
    ``files_socket`` where it takes and gives checkpoints. ``orphan_after_s``: after so long without a coordinator the
    agent ends its trials and itself; None: after as long as it thinks right.
    """

    instance: str
    epoch: int
    token: str = field(repr=False)
    agent_socket: Path
    files_socket: Path
    slots: int | None = None
    orphan_after_s: float | None = None
    outfit: Outfit = field(default_factory=Outfit)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A machine of ours that exists. ``epoch`` is that of its last launch."""

    instance: str
    epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderSetting:
    """What a provider is made with: the cluster's name, its own options, and a folder that it may keep things in.

    ``mark`` tells this cluster from another of the same name that somebody else has on the same machines.
    """

    cluster: str
    folder: Path
    mark: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)


class Provider(Protocol):
    """Where machines come from. Every call is idempotent; all block, so they are made in threads, several at once.

    Each raises ProviderError: ProviderFatal where only the user can help, others where trying again may.
    """

    def instances(self) -> Sequence[str]:
        """The names of the machines that the cluster may have."""
        ...

    def launch(self, intent: LaunchIntent, tell: Tell) -> None:
        """Brings the machine up, outfit and all, or returns at once when this very launch was made before.

        ``tell`` is called with what is being done, from any thread.
        """
        ...

    def adopt(self, intents: Sequence[LaunchIntent]) -> None:
        """Takes up again what an earlier coordinator launched, and starts nothing. Returns before they are reached."""
        ...

    def furnish(self, instance: str, outfit: Outfit, tell: Tell) -> Furnished:
        """Brings what trials of another experiment need to a machine that is up."""
        ...

    def list(self) -> Sequence[Found]:
        """The machines that exist and whose agent lives, as far as the provider can tell; in doubt, they do."""
        ...

    def terminate(self, instances: Sequence[str]) -> None:
        """Ends machines, agents and all; those that are gone already are no error."""
        ...

    def last_words(self, instance: str) -> str:
        """The end of the agent's own log, to be shown when it did not come up."""
        ...

    def close(self) -> None:
        """Lets go of connections; machines and agents stay as they are."""
        ...
