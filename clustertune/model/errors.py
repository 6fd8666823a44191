"""The tree of errors, named by what the caller does next.

ClustertuneError
├── Mistake                what the user wrote must change: exit code 2
│   ├── DefinitionMistake  one or more located problems in a YAML file
│   └── NoSuchName         an experiment, trial or template that does not exist, with the nearest that does
├── InvalidTransition      our bug: a state machine was asked for a step that it does not have; nothing changed
├── ProtocolViolation      their bug: a peer sent what is not a message; close the connection
├── Fenced                 this agent was replaced: end its trials and exit
├── CoordinatorUnreachable start the coordinator, or look at its log
├── JournalError
│   ├── JournalFull        free space on the disk; nothing acknowledged is lost, work goes on by itself
│   └── JournalDamaged     stop: the file is not what we wrote
├── StorageError           a checkpoint cannot be kept or read now; whoever has it keeps it, and trials go on
│   ├── StorageUnavailable try again later
│   ├── StorageRefused     the user must change something: bucket, credentials, permissions; then try again
│   ├── StorageFull        free some space, then try again
│   └── PartsMissing       send these parts, then try again
└── ProviderError          exit code 3
    ├── ProviderTransient  try again, later and later: it may pass by itself
    └── ProviderFatal      stop and print the remedy
        ├── ProviderCredentials  we are not let in: pause and tell the user; machines are not gone for that
        └── AnotherMachine       who answers is not who was known: do not use it, do not take it for the known one
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


class ClustertuneError(Exception):
    """Everything that clustertune raises on purpose."""


class Mistake(ClustertuneError):
    """What the user wrote must change."""


@dataclass(frozen=True)
class Problem:
    """One thing wrong in a definition, and where.

    ``file`` is None for values given on the command line, by ``option``; ``line`` counts from 1, 0 where unknown;
    ``path`` is the field, as in ``space.lr.low``.
    """

    message: str
    path: str = ""
    file: str | None = None
    line: int = 0
    option: str = "--set"

    def __str__(self) -> str:
        where = self.file or self.option
        if self.file and self.line:
            where += f":{self.line}"
        return f"{where}: {self.path}: {self.message}" if self.path else f"{where}: {self.message}"


class DefinitionMistake(Mistake):
    """All the problems of a definition at once."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


class NoSuchName(Mistake):
    """A name that is not there; says which are, nearest first."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        self.kind, self.name = kind, name
        super().__init__(f"there is no {kind} called {name!r}{suggestion(name, known)}")


class InvalidTransition(ClustertuneError):
    """Our bug: a state machine was asked for a step that it does not have."""


class ProtocolViolation(ClustertuneError):
    """Their bug: a peer sent what is not a message of the protocol."""


class Fenced(ClustertuneError):
    """This agent's epoch is over: another one has its trials."""


class CoordinatorUnreachable(ClustertuneError):
    """No coordinator answers where one should be."""


class JournalError(ClustertuneError):
    """The journal cannot be written or read."""


class JournalFull(JournalError):
    """The disk takes no more; what was acknowledged is safe, and writing is tried again."""


class JournalDamaged(JournalError):
    """The file is not a journal of ours, or not whole."""


class StorageError(ClustertuneError):
    """A checkpoint cannot be kept or read now."""


class StorageUnavailable(StorageError):
    """The storage does not answer, or not with sense; it may later."""


class StorageRefused(StorageError):
    """The storage will refuse again until the user changes something, which the message names."""


class StorageFull(StorageError):
    """There is no room for it."""


class PartsMissing(StorageError):
    """A checkpoint cannot be whole yet: ``parts`` are the sizes, by their digests, of what is not there."""

    def __init__(self, parts: Mapping[str, int]) -> None:
        self.parts = dict(parts)
        super().__init__(f"{len(self.parts)} parts of the checkpoint are not there yet; send them first")


class ProviderError(ClustertuneError):
    """The provider refused."""


class ProviderTransient(ProviderError):
    """It does not work now, and may later without anybody's help."""


class ProviderFatal(ProviderError):
    """The provider will refuse again until the user changes something."""


class ProviderCredentials(ProviderFatal):
    """Keys, or the permission that they give, are missing. It says nothing about what runs."""


class AnotherMachine(ProviderFatal):
    """The host key at an address is not the one that was known: the fingerprints ``known`` and ``found``."""

    def __init__(self, message: str, *, known: Sequence[str], found: str) -> None:
        self.known, self.found = tuple(known), found
        super().__init__(message)


def suggestion(name: str, known: Iterable[str]) -> str:
    """Text to append to an error: the nearest known name, else all of them (at most twelve)."""
    from difflib import get_close_matches

    names = sorted(map(str, known))
    if not names:
        return ""
    near = get_close_matches(name, names, n=1, cutoff=0.6)
    if near:
        return f"; did you mean {near[0]!r}?"
    shown = ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
    return f"; known: {shown}"
