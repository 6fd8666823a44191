"""The agent's link: every message that travels between an agent and the coordinator.

JSON text frames over one websocket. ``Started``, ``Reports`` and ``Ended`` carry ``seq``, counted from 1 within an
epoch: the agent keeps them until an ``Ack`` covers them, and repeats them after a reconnection; the coordinator
acknowledges after its commit and ignores what it has already. ``Start`` and ``Stop`` are idempotent by their attempt;
after every ``Welcome`` the coordinator sends again those that are still wanted. Logs are pulled, so that they never
stand in the way of reports.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Union

from clustertune.model.codec import FieldError, from_plain, to_plain
from clustertune.model.errors import ProtocolViolation
from clustertune.model.instance import Inventory
from clustertune.model.trial import Config, Ending, Report

PROTOCOL = 1
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
class RunSpec:
    """What to run, the same for all trials of an experiment.

    Exactly one of ``call`` (``module:function``) and ``command`` is set. ``env`` is added to the agent's own.
    ``secrets`` are like ``env``, and their values are never written, logged or shown.
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


@dataclass(frozen=True)
class Start:
    """Run this attempt now. ``target`` is the resource level that it is to reach; ``gpus`` are those it may see."""

    attempt: str
    config: Config
    run: RunSpec
    target: int | None = None
    cpus: float = 1.0
    gpus: tuple[int, ...] = ()
    seed: int = 0


@dataclass(frozen=True)
class Stop:
    """End this attempt: SIGTERM, then SIGKILL after its grace. ``reason``: "stopped" or "paused"."""

    attempt: str
    reason: str


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


FromAgent = Union[Hello, Started, Reports, Ended, LogChunk]  # noqa: UP007 - evaluated at run time
FromCoordinator = Union[Welcome, Refused, Ack, Start, Stop, LogRequest, Forget, Leave]  # noqa: UP007
Message = Union[FromAgent, FromCoordinator]  # noqa: UP007

_TYPES: dict[str, type] = {
    cls.__name__.lower(): cls
    for cls in (
        Hello, Started, Reports, Ended, LogChunk,
        Welcome, Refused, Ack, Start, Stop, LogRequest, Forget, Leave,
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
