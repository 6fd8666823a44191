"""Which of the user's keys are offered to a machine, in ssh's order, and what to say of those that cannot be."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import asyncssh

from clustertune.model.errors import ProviderCredentials
from clustertune.provisioner.bootstrap.ssh_config import Settings

AGENT_LIMIT_S = 5.0  # an agent that hangs is done without


@dataclass(slots=True)
class UserKeys:
    """``pairs`` sign; ``offered`` names them for people; ``left_out`` says of each other one why, and what to do."""

    pairs: list[asyncssh.SSHKeyPair] = field(default_factory=list)
    offered: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    agent: asyncssh.SSHAgentClient | None = None

    async def close(self) -> None:
        if self.agent is not None:
            self.agent.close()
            await self.agent.wait_closed()


async def gather(settings: Settings, required: Path | None) -> UserKeys:
    """Those that an ssh-agent holds and that are named first, then its others, then files: as ssh has it.

    ``required`` was asked for by name, and comes first. Raises ProviderCredentials where it cannot be used at all.
    """
    keys = UserKeys()
    held = await _held_by_agent(settings, keys)
    named = {blob: path for path in settings.identities if (blob := _public_part(path)) is not None}
    for pair in sorted(held, key=lambda pair: pair.public_data not in named):
        if pair.public_data in named or not settings.identities_only:
            keys.pairs.append(pair)
            keys.offered.append(_named(pair, "held by the ssh-agent"))
    from_agent = {pair.public_data for pair in keys.pairs}
    # ssh itself leaves out a named one that is not there
    for path in dict.fromkeys([*([required] if required else []), *settings.identities]):
        if _public_part(path) not in from_agent:
            _add_file(path, settings, keys, required=path == required)
        elif path == required:
            _bring_forward(keys, path)
    return keys


async def _held_by_agent(settings: Settings, keys: UserKeys) -> list[asyncssh.SSHKeyPair]:
    if settings.agent is None:
        return []
    keys.agent = asyncssh.SSHAgentClient(settings.agent)
    try:
        async with asyncio.timeout(AGENT_LIMIT_S):
            return list(await keys.agent.get_keys())
    except TimeoutError:
        keys.left_out.append(f"the ssh-agent at {settings.agent} does not answer")
    except (OSError, ValueError, EOFError) as error:
        keys.left_out.append(f"the ssh-agent at {settings.agent} cannot be asked: {error}")
    keys.agent.close()
    keys.agent = None
    return []


def _add_file(path: Path, settings: Settings, keys: UserKeys, *, required: bool) -> None:
    certificates = [str(each) for each in settings.certificates if each.is_file()]
    try:
        pairs = asyncssh.load_keypairs(str(path), certlist=certificates)
    except FileNotFoundError:
        problem = f"the key {path} is not there; make it (ssh-keygen -f {path}) or name another" if required else None
    except PermissionError:
        problem = f"the key {path} cannot be read; it must be yours, with mode 0600 (chmod 600 {path})"
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError, ValueError, OSError) as error:
        problem = _why_unusable(path, error)
    else:
        where = 0 if required else len(keys.pairs)
        keys.pairs[where:where] = pairs
        keys.offered[where:where] = [_named(pair, str(path)) for pair in pairs]
        return
    if problem and required:
        raise ProviderCredentials(problem)
    if problem:
        keys.left_out.append(problem)


def _why_unusable(path: Path, error: Exception) -> str:
    if "passphrase" in str(error).lower() or isinstance(error, asyncssh.KeyEncryptionError):
        return f"the key {path} is encrypted, and no ssh-agent holds it: run `ssh-add {path}`, then try again"
    return f"the key {path} cannot be used: {error}"


def _bring_forward(keys: UserKeys, path: Path) -> None:
    blob = _public_part(path)
    first = next(index for index, pair in enumerate(keys.pairs) if pair.public_data == blob)
    keys.pairs.insert(0, keys.pairs.pop(first))
    keys.offered.insert(0, keys.offered.pop(first))


def _named(pair: asyncssh.SSHKeyPair, whence: str) -> str:
    digest = base64.b64encode(hashlib.sha256(pair.public_data).digest()).decode().rstrip("=")
    return f"SHA256:{digest} ({whence})"


def _public_part(path: Path) -> bytes | None:
    """The public key of a private key file, which stands in it in the clear also where the rest is encrypted."""
    try:
        text = path.with_name(path.name + ".pub").read_text().split()
        if len(text) > 1:
            return base64.b64decode(text[1])
    except (OSError, ValueError, binascii.Error):
        pass
    try:
        lines = path.read_text().strip().splitlines()
        data = base64.b64decode("".join(lines[1:-1]))
    except (OSError, ValueError, binascii.Error):
        return None
    return _in_openssh_format(data)


def _in_openssh_format(data: bytes) -> bytes | None:
    magic = b"openssh-key-v1\0"
    if not data.startswith(magic):
        return None
    rest = data[len(magic) :]
    for _ in range(3):  # cipher, key derivation, its options
        rest = rest[4 + int.from_bytes(rest[:4], "big") :]
    rest = rest[4:]  # how many keys
    return rest[4 : 4 + int.from_bytes(rest[:4], "big")] or None
