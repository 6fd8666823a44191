"""What ``ssh HOST`` would do: the user's ssh_config, as the ``ssh`` program itself reads it."""

from __future__ import annotations

import asyncio
import getpass
import os
import re
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from clustertune.model.errors import ProviderFatal
from clustertune.provisioner.bootstrap.target import Target

READ_LIMIT_S = 15.0  # "Match exec" runs programs of the user's
DEFAULT_KEYS = ("id_rsa", "id_ecdsa", "id_ed25519")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How to reach one machine; ``jumps`` and ``proxy_command`` exclude each other."""

    hostname: str
    port: int
    user: str
    identities: tuple[Path, ...]
    certificates: tuple[Path, ...] = ()
    identities_only: bool = False
    agent: str | None = None
    jumps: tuple[str, ...] = ()
    proxy_command: str | None = None
    known_hosts: tuple[Path, ...]
    host_key_alias: str | None = None
    accepts_new: bool = False
    hashes_names: bool = False
    connect_limit_s: float | None = None
    family: str = "any"
    bind_address: str | None = None
    kerberos: bool = False

    @property
    def known_as(self) -> str:
        """Under which name its host key stands in known_hosts."""
        if self.host_key_alias is not None:
            return self.host_key_alias.lower()
        return self.hostname.lower() if self.port == 22 else f"[{self.hostname.lower()}]:{self.port}"

    @property
    def where(self) -> str:
        host = f"[{self.hostname}]" if ":" in self.hostname else self.hostname
        return host if self.port == 22 else f"{host}:{self.port}"


async def read(target: Target, config: Path | None = None, *, through_jumps: bool = True) -> Settings:
    """``config`` is read instead of the user's own. Raises ProviderFatal where ssh cannot make sense of it.

    Not ``through_jumps``: for a machine that is itself reached through others, which the one behind it named.
    """
    if config is not None and not os.access(config, os.R_OK):
        raise ProviderFatal(f"the ssh configuration {config} cannot be read; see that it is there and yours to read")
    words = [*(["-F", str(config)] if config else []), *target.ssh_options()]
    words += [] if through_jumps else ["-o", "ProxyJump=none", "-o", "ProxyCommand=none"]
    try:
        said = await _ask_ssh([*words, "-G", "--", target.host])
    except FileNotFoundError:
        return _without_ssh(target)
    return _settings(said, target)


async def _ask_ssh(words: Sequence[str]) -> str:
    process = await asyncio.create_subprocess_exec(
        "ssh",
        *words,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,  # no terminal that could be asked for anything
    )
    try:
        async with asyncio.timeout(READ_LIMIT_S):
            output, errors = await process.communicate()
    except TimeoutError:
        raise ProviderFatal(
            f"ssh reads its configuration for {words[-1]} for more than {READ_LIMIT_S:g} s; does a `Match exec` hang?"
        ) from None
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)  # with what it runs itself
            await process.wait()
    if process.returncode:
        told = [line for line in errors.decode(errors="replace").splitlines() if "Pseudo-terminal" not in line]
        raise ProviderFatal(f"ssh cannot read its configuration for {words[-1]}: {'; '.join(told)}; mend it there")
    return output.decode(errors="replace")


def _settings(said: str, target: Target) -> Settings:
    found: dict[str, list[str]] = {}
    for line in said.splitlines():
        option, _, value = line.partition(" ")
        if value.lower() not in ("", "none") or option == "identityagent":
            found.setdefault(option.lower(), []).append(value)
    first = {option: values[0] for option, values in found.items()}
    settings = Settings(
        hostname=first["hostname"],
        port=int(first["port"]),
        user=first["user"],
        identities=_paths(found.get("identityfile", [])),
        certificates=_paths(found.get("certificatefile", [])),
        identities_only=first.get("identitiesonly") == "yes",
        agent=_agent(found.get("identityagent")),
        jumps=tuple(filter(None, first.get("proxyjump", "").split(","))),
        proxy_command=first.get("proxycommand"),
        known_hosts=_paths(first.get("userknownhostsfile", "").split() + first.get("globalknownhostsfile", "").split()),
        host_key_alias=first.get("hostkeyalias"),
        # "no" would even take a key that has changed; that is never done here
        accepts_new=first.get("stricthostkeychecking") in ("accept-new", "no", "off", "false"),
        hashes_names=first.get("hashknownhosts") == "yes",
        connect_limit_s=float(first["connecttimeout"]) if "connecttimeout" in first else None,
        family=first.get("addressfamily", "any"),
        bind_address=first.get("bindaddress"),
        kerberos=first.get("gssapiauthentication") == "yes",
    )
    return _expanded(settings, target)


def _expanded(settings: Settings, target: Target) -> Settings:
    """The tokens that ssh fills in only when it connects."""
    tokens = {"%": "%", "h": settings.hostname, "n": target.host, "p": str(settings.port), "r": settings.user}
    tokens |= {
        "u": getpass.getuser(),
        "d": str(Path.home()),
        "i": str(os.getuid()),
        "k": settings.host_key_alias or target.host,
    }
    return replace(
        settings,
        identities=tuple(Path(_fill(str(path), tokens)) for path in settings.identities),
        certificates=tuple(Path(_fill(str(path), tokens)) for path in settings.certificates),
        known_hosts=tuple(Path(_fill(str(path), tokens)) for path in settings.known_hosts),
        proxy_command=_fill(settings.proxy_command, tokens) if settings.proxy_command else None,
    )


def _fill(text: str, tokens: Mapping[str, str]) -> str:
    text = re.sub(r"\$\{(\w+)\}", lambda name: os.environ.get(name[1], ""), text)
    return re.sub("%(.)", lambda token: tokens.get(token[1], token[0]), text)


def _paths(values: Sequence[str]) -> tuple[Path, ...]:
    return tuple(Path(value.strip('"')).expanduser() for value in values)


def _agent(values: Sequence[str] | None) -> str | None:
    """The socket of the user's ssh-agent."""
    said = values[0] if values else "SSH_AUTH_SOCK"
    if said.lower() == "none":
        return None
    if said == "SSH_AUTH_SOCK":
        return os.environ.get("SSH_AUTH_SOCK") or None
    if said.startswith("$"):
        return os.environ.get(said.strip("${}")) or None
    return str(Path(said.strip('"')).expanduser())


def _without_ssh(target: Target) -> Settings:
    """The same without an ssh program, which is no loss where there is nothing for it to read."""
    folder = Path.home() / ".ssh"
    if (folder / "config").exists():
        raise ProviderFatal(
            f"{folder / 'config'} takes the program ssh to be read; install it (apt install openssh-client)"
        )
    return Settings(
        hostname=target.host,
        port=target.port or 22,
        user=target.user or getpass.getuser(),
        identities=(target.identity.expanduser(),) if target.identity else tuple(folder / key for key in DEFAULT_KEYS),
        agent=os.environ.get("SSH_AUTH_SOCK") or None,
        jumps=tuple(target.jump.split(",")) if target.jump else (),
        known_hosts=(folder / "known_hosts", Path("/etc/ssh/ssh_known_hosts")),
    )
