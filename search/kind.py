"""Which searchers, or which schedulers, there are: where each is loaded from, and whose it is."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

from clustertune.model.errors import Mistake, NoSuchName
from clustertune.search import blame
from clustertune.search.blame import BrokenPlugin

_Answer = TypeVar("_Answer")


class Kind:
    """``own`` are ours, by name; third parties name theirs in the entry-point group ``group``."""

    def __init__(self, kind: str, group: str, own: Mapping[str, str]) -> None:
        self._kind, self._group, self._own = kind, group, own

    def names(self) -> Sequence[str]:
        """All, ours first."""
        return list(dict.fromkeys((*self._own, *sorted(self._installed()))))

    def package(self, name: str) -> str:
        """Name and version of the installed package that it comes from; empty for ours, and for one that is gone."""
        entry = None if name in self._own else self._installed().get(name)
        return f"{entry.dist.name} {entry.dist.version}" if entry is not None and entry.dist else ""

    def asked(self, name: str, method: str, ask: Callable[[], _Answer]) -> _Answer:
        """What ``ask`` answers. Raises BrokenPlugin where an algorithm that is not ours raises."""
        try:
            return ask()
        except Mistake:
            raise
        except Exception as error:
            if name in self._own:
                raise
            who = blame.named(self._kind, name, self.package(name))
            raise BrokenPlugin(blame.raised(who, error, method, self.load(name))) from error

    def load(self, name: str) -> Any:
        """Its class. Raises NoSuchName, BrokenPlugin."""
        if name in self._own:
            module, attribute = self._own[name].split(":")
            return getattr(importlib.import_module(module), attribute)
        # Reading what is installed costs tens of milliseconds: only for names that are not ours.
        installed = self._installed()
        if name not in installed:
            raise NoSuchName(self._kind, name, (*self.names(), "auto"))
        return self._load_installed(installed[name])

    def _load_installed(self, entry: EntryPoint) -> Any:
        source = f"package {entry.dist.name} {entry.dist.version}" if entry.dist else "an installed package"
        told = f"{self._kind} {entry.name!r} of {source} ({entry.value})"
        try:
            found = entry.load()
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            raise BrokenPlugin(f"{told} cannot be imported: {reason}; repair or uninstall that package") from error
        if not isinstance(getattr(found, "Options", None), type):
            raise BrokenPlugin(f"{told} is no algorithm: it has no Options; tell the package's authors")
        return found

    def _installed(self) -> Mapping[str, EntryPoint]:
        return {entry.name: entry for entry in entry_points(group=self._group)}
