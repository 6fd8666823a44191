"""Which machine is meant: a host as ``ssh`` names it, and what a cluster definition may say besides."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from clustertune.model.errors import ProviderFatal


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """``host`` is a name, an address or an alias of ssh_config. What is None is as ssh_config, or ssh itself, has it.

    ``jump`` is written as for ``ssh -J``: [user@]host[:port], several with commas between them.
    """

    host: str
    user: str | None = None
    port: int | None = None
    identity: Path | None = None
    jump: str | None = None

    @classmethod
    def parse(cls, text: str) -> Target:
        """From ``[user@]host[:port]``; an IPv6 address with a port stands in brackets. Raises ProviderFatal."""
        found = _TARGET.fullmatch(text.strip())
        if found is None:
            raise ProviderFatal(f"{text!r} names no host; write host, user@host, user@host:port or [IPv6 address]:port")
        port = found["port"]
        if port is not None and not 0 < int(port) < 65536:
            raise ProviderFatal(f"{text!r} has no port between 1 and 65535")
        host = found["bracketed"] or found["six"] or found["host"]
        return cls(host=host, user=found["user"], port=int(port) if port else None)

    def ssh_options(self) -> list[str]:
        """What makes the ``ssh`` program mean this machine, before its host."""
        words = ["-l", self.user] if self.user else []
        words += ["-p", str(self.port)] if self.port else []
        words += ["-i", str(self.identity.expanduser())] if self.identity else []
        return words + (["-J", self.jump] if self.jump else [])

    def ssh_command(self) -> str:
        """What a user types to log in to it."""
        return shlex.join(["ssh", *self.ssh_options(), self.host])


# Neither a user nor a host begins with "-": ssh would take it for an option.
_TARGET = re.compile(
    r"""
    ((?P<user>[^\s@-][^\s@]*(@[^\s@]+)*)@)?
    (
        \[(?P<bracketed>[0-9A-Fa-f:.%\w]+)\]
        | (?P<six>[0-9A-Fa-f]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f:.%\w]*)
        | (?P<host>[^\s@:\[\]/-][^\s@:\[\]/]*)
    )
    (:(?P<port>\d{1,5}))?
    """,
    re.VERBOSE,
)
