"""The agent's link: every message that travels between an agent and the coordinator.

JSON text frames over one websocket. What an agent must not lose (``Started``, ``Reports``, ``Saved``, ``Described``,
``StoreTrouble``, ``Held``, ``Ended``) carries ``seq``, counted from 1 within an epoch: the agent keeps it until an
``Ack`` covers it, and repeats it after a reconnection; the coordinator acknowledges after its commit and ignores what
it has already.
``Start``, ``Stop``, ``Save``, ``Store``, ``Go`` and ``Discard`` are idempotent; after every ``Welcome`` the coordinator
sends again those that are still wanted. Logs are pulled, so that they never stand in the way of reports. Checkpoints
travel over HTTP (`docs/decisions/0009-checkpoints.md`), never in frames.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Union

from clustertune.model.checkpoint import CheckpointRef, SavedKind
from clustertune.model.codec import FieldError, from_plain, to_plain
from clustertune.model.errors import ProtocolViolation
from clustertune.model.instance import Inventory
from clustertune.model.trial import Config, Ending, Report

PROTOCOL = 2
MAX_FRAME_BYTES = 4 * 1024 * 1024
"""A larger frame closes the connection. Batches of reports are kept far below it."""

MAX_LOG_CHUNK_BYTES = 64 * 1024


# From the agent


@dataclass(frozen=True)
class Hello:
    """The first message on a connection. ``attempts`` are those that the agent is running now."""

    protocol: int
    version: str
    instance: str
    epoch: int
    token: str
    inventory: Inventory
    attempts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Started:
    """The attempt's process exists."""

    seq: int
    attempt: str
    pid: int


@dataclass(frozen=True)
class Reports:
    """Reports of one attempt, oldest first. ``notices`` are one-line warnings to show the user."""

    seq: int
    attempt: str
    reports: tuple[Report, ...]
    notices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Ended:
    """The attempt is over and all its processes are gone; no report of it follows."""

    seq: int
    attempt: str
    ending: Ending


@dataclass(frozen=True)
class Saved:
    """The attempt left something whole on the agent's disk.

    ``wanted``: somebody waits for it (a pause, an interval, a clone), so that it is to be stored now; the others are
    the last that an attempt made of its own accord. Comes before the attempt's Ended.
    """

    seq: int
    attempt: str
    kind: SavedKind
    resource: int
    digest: str
    size_bytes: int
    wanted: bool = True


@dataclass(frozen=True)
class Held:
    """What the agent has of what it told in ``Saved``: digests by attempt. Comes after each ``Welcome``.

    A ``Discard`` may have been lost with the connection before: what nobody needs is discarded again.
    """

    seq: int
    digests: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class StoreTrouble:
    """What was to be stored could not be, yet; the agent keeps it and goes on trying. Said once for each trouble."""

    seq: int
    attempt: str
    digest: str
    error: str


@dataclass(frozen=True)
class Described:
    """What ran. ``provenance`` names a description; ``content`` is that description, sent with its first use only.

    ``told`` is what the program said of itself (the source of its data, say).
    """

    seq: int
    attempt: str
    provenance: str = ""
    content: Mapping[str, object] = field(default_factory=dict)
    told: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class LogChunk:
    """The answer to a LogRequest: ``text`` from ``offset`` (bytes); ``size`` is the log's present length.

    ``end`` says that the attempt is over and nothing will follow ``offset`` plus this text.
    """

    request: int
    offset: int
    next_offset: int
    size: int
    text: str
    end: bool


# From the coordinator


@dataclass(frozen=True)
class Welcome:
    """The agent is enrolled; everything up to ``acknowledged`` is on disk here."""

    protocol: int
    acknowledged: int


@dataclass(frozen=True)
class Refused:
    """The agent may not join. ``fenced``: its epoch is over, so it ends its trials and exits; so too for the others."""

    reason: str  # "fenced" | "token" | "protocol"
    message: str


@dataclass(frozen=True)
class Ack:
    """Everything with ``seq`` up to ``through`` is committed."""

    through: int


@dataclass(frozen=True)
class MetricPattern:
    """A number to find in the program's output: ``regex`` has one group, or one group called ``value``."""

    name: str
    regex: str


@dataclass(frozen=True)
class CheckpointPolicy:
    """When a trial is asked for a checkpoint, and how it is sent.

    ``every_s``: so often while it runs; None: only when one is needed. ``signal``: sent to the program then, as in
    SIGUSR1; empty: none. ``save_s``: how long a program may take to save when it is to be paused, before SIGTERM.
    ``bandwidth_bytes_s``: what all uploads of an agent together may use; None: as much as there is.
    ``expected``: the program is known to take checkpoints, also before it has said so.
    """

    every_s: float | None = 600.0
    signal: str = ""
    save_s: float = 60.0
    bandwidth_bytes_s: int | None = None
    expected: bool = False


@dataclass(frozen=True)
class RunSpec:
    """What to run, the same for all trials of an experiment.

    Exactly one of ``call`` (``module:function``) and ``command`` is set. ``env`` is added to the agent's own.
    ``secrets`` are like ``env``, and their values are never written, logged or shown. ``pauses``: the scheduler may
    pause a trial at its target, so that a report there waits for ``Go`` or ``Stop``. ``processes``: a trial is a group
    of so many, rank 0 speaks for it. ``memory_bytes``: what a trial may use, where it is not 0. ``also``: metrics that
    a report needs beside the objective's. ``snapshot``: the digest of the program that was sent along, and ``workdir``
    lies in it as long as no machine has laid it out; empty where the program runs where it lies.
    """

    workdir: str
    call: str | None = None
    command: str | None = None
    shell: bool = False
    python: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    metrics: tuple[MetricPattern, ...] = ()
    objective: str = ""
    resource: str = "step"
    trial_time_s: float | None = None
    grace_s: float = 10.0
    checkpoints: CheckpointPolicy = field(default_factory=CheckpointPolicy)
    pauses: bool = False
    processes: int = 1
    memory_bytes: int = 0
    also: tuple[str, ...] = ()
    snapshot: str = ""


@dataclass(frozen=True)
class Start:
    """Run this attempt now. ``target`` is the resource level that it is to reach; ``gpus`` are those it may see.

    ``checkpoint`` is where it goes on from.
    """

    attempt: str
    config: Config
    run: RunSpec
    target: int | None = None
    cpus: float = 1.0
    gpus: tuple[int, ...] = ()
    seed: int = 0
    checkpoint: CheckpointRef | None = None


@dataclass(frozen=True)
class Stop:
    """End this attempt: SIGTERM, then SIGKILL after its grace. ``reason``: "stopped" or "paused".

    Where it is "paused", a program that can is first asked for a checkpoint.
    """

    attempt: str
    reason: str


@dataclass(frozen=True)
class Go:
    """The report at the attempt's target was decided upon: go on, to the next ``target``."""

    attempt: str
    target: int | None


@dataclass(frozen=True)
class Save:
    """Ask the program of this attempt for a checkpoint; it goes on running."""

    attempt: str


@dataclass(frozen=True)
class Store:
    """Bring what this attempt saved to the storage, and keep trying."""

    attempt: str
    digest: str


@dataclass(frozen=True)
class Discard:
    """What this attempt saved under these digests is not needed on the agent's disk any more."""

    attempt: str
    digests: tuple[str, ...]


@dataclass(frozen=True)
class LogRequest:
    """Send the attempt's log from ``offset`` bytes on (negative: from its end), at most ``limit`` bytes."""

    request: int
    attempt: str
    offset: int
    limit: int


@dataclass(frozen=True)
class Forget:
    """These attempts' folders and logs may go: the coordinator has what it wants of them."""

    attempts: tuple[str, ...]


@dataclass(frozen=True)
class Leave:
    """End all trials, delete what is left of them, and exit."""

    message: str


Numbered = Union[Started, Reports, Saved, Held, StoreTrouble, Described, Ended]  # noqa: UP007 - evaluated at run time
NUMBERED = (Started, Reports, Saved, Held, StoreTrouble, Described, Ended)
FromAgent = Union[Hello, Numbered, LogChunk]  # noqa: UP007
FromCoordinator = Union[  # noqa: UP007
    Welcome, Refused, Ack, Start, Stop, Go, Save, Store, Discard, LogRequest, Forget, Leave
]
Message = Union[FromAgent, FromCoordinator]  # noqa: UP007

_TYPES: dict[str, type] = {
    cls.__name__.lower(): cls
    for cls in (
        Hello, Started, Reports, Saved, Held, StoreTrouble, Described, Ended, LogChunk,
        Welcome, Refused, Ack, Start, Stop, Go, Save, Store, Discard, LogRequest, Forget, Leave,
    )
}  # fmt: skip


def encode(message: Message) -> str:
    """One JSON text frame. Non-finite numbers travel as the strings nan, inf and -inf."""
    plain = to_plain(message)
    return json.dumps({"type": type(message).__name__.lower(), **plain}, allow_nan=False, separators=(",", ":"))


def decode(frame: str | bytes) -> Message:
    """The message in a frame.

    Raises ProtocolViolation, which names the field, for anything that is not one. Unknown fields are ignored, so
    that a newer peer may add some.
    """
    try:
        plain = json.loads(frame)
    except (ValueError, RecursionError) as error:
        raise ProtocolViolation(f"not JSON: {error}") from error
    if not isinstance(plain, dict):
        raise ProtocolViolation(f"a frame must hold an object, found {type(plain).__name__}")
    kind = plain.get("type")
    if not isinstance(kind, str) or kind not in _TYPES:
        raise ProtocolViolation(f"unknown message type {str(kind)[:80]!r}")
    try:
        message: Message = from_plain(_TYPES[kind], plain)
    except FieldError as error:
        raise ProtocolViolation(f"{kind}: {error}") from error
    return message
