"""The agent's file on a machine, and what can be asked of it there."""

from __future__ import annotations

import json
import shlex
from collections.abc import AsyncIterable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from clustertune.model.errors import ProviderError, ProviderFatal
from clustertune.provisioner.bootstrap.remote import Ran, Remote

_SHOWN_CHARS = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Verbs:
    """Each verb is one command: JSON goes in on standard input, and a line of JSON comes back."""

    remote: Remote
    root: str
    python: str
    agent: str

    @property
    def path(self) -> str:
        """The agent's file."""
        return f"{self.root}/{self.agent}"

    async def put_agent(self, data: bytes) -> None:
        """Brings the agent's file: whole, or not at all. Raises ProviderError."""
        path, part = shlex.quote(self.path), shlex.quote(f"{self.path}.part-")
        script = (
            f'umask 077; part={part}$$; cat > "$part" && [ "$(wc -c < "$part")" -eq {len(data)} ] '
            f'&& mv -f "$part" {path} || {{ rm -f "$part"; exit 1; }}'
        )
        ran = await self.remote.run(f"exec sh -c {shlex.quote(script)}", given=data)
        if ran.code != 0:
            said = ran.errors.decode(errors="replace").strip() or "the connection or the disk gave way"
            raise ProviderError(f"the agent cannot be put into {self.root}: {said[-_SHOWN_CHARS:]}")

    async def ask(
        self,
        verb: str,
        given: Mapping[str, Any] | AsyncIterable[bytes] | None = None,
        *,
        heard: Callable[[bytes], None] | None = None,
    ) -> dict[str, Any]:
        """What the verb answers. Raises ProviderFatal with its own words where it fails, ProviderError elsewhere."""
        command = f"exec {shlex.quote(self.python)} {shlex.quote(self.path)} {verb} --root {shlex.quote(self.root)}"
        if given is None:
            ran = await self.remote.run(command, heard=heard)
        elif isinstance(given, Mapping):
            ran = await self.remote.run(command, given=json.dumps(given).encode(), heard=heard)
        else:
            ran = await self.remote.run(command, given=given, heard=heard)
        answer = _answer(ran)
        if ran.code == 0 and answer is not None:
            return answer
        raise _failure(verb, ran, answer)


def _answer(ran: Ran) -> dict[str, Any] | None:
    """The last line: what a shell says as it starts may stand before it."""
    lines = ran.output.decode(errors="replace").strip().rsplit("\n", 1)
    try:
        found = json.loads(lines[-1])
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _failure(verb: str, ran: Ran, answer: Mapping[str, Any] | None) -> ProviderError:
    if answer is not None and "error" in answer:
        tail = f"\n{answer['log_tail']}" if answer.get("log_tail") else ""
        return ProviderFatal(f"{answer['error']}{tail}"[:_SHOWN_CHARS])
    said = ran.errors.decode(errors="replace").strip()[-_SHOWN_CHARS:]
    how = "was killed" if ran.code is None else f"exit code {ran.code}"
    return ProviderError(f"{verb}: {how}: {said}" if said else f"{verb}: {how}")
