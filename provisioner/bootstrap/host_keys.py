"""Whether a machine is the one that is meant: its host key beside known_hosts, or beside keys given beforehand."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import os
import secrets
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import asyncssh
from asyncssh.public_key import get_default_certificate_algs, get_default_public_key_algs

from clustertune.model.errors import AnotherMachine, ProviderError, ProviderFatal
from clustertune.provisioner.bootstrap.ssh_config import Settings


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a known_hosts file that speaks of the machine."""

    file: Path
    number: int
    keys: tuple[asyncssh.SSHKey, ...]
    authorities: tuple[asyncssh.SSHKey, ...]
    revoked: tuple[asyncssh.SSHKey, ...]


@dataclass(slots=True)
class Judge:
    """Accepts or refuses the host key that a machine shows, and says why not.

    ``given``: public keys, as OpenSSH writes them, that alone are accepted; None: known_hosts decides.
    """

    settings: Settings
    command: str
    given: Sequence[str] | None = None
    lines: list[Line] = field(init=False)
    refused: asyncssh.SSHKey | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.lines = list(_lines(self.settings)) if self.given is None else []

    def trusted(self) -> tuple[list[asyncssh.SSHKey], list[asyncssh.SSHKey], list[asyncssh.SSHKey]]:
        """Host keys, authorities and revoked keys, as asyncssh takes them."""
        return (
            [key for line in self.lines for key in line.keys] + self._given(),
            [key for line in self.lines for key in line.authorities],
            [key for line in self.lines for key in line.revoked],
        )

    def algorithms(self) -> list[str]:
        """Those of known keys first, as a machine may have several keys, and all others, to see what it has instead."""
        keys, authorities, _ = self.trusted()
        known = [algorithm for key in keys for algorithm in key.sig_algorithms]
        certified = get_default_certificate_algs() if authorities else []
        wanted = dict.fromkeys([*certified, *known, *get_default_public_key_algs()])
        return [algorithm.decode() for algorithm in wanted]

    def accepts(self, key: asyncssh.SSHKey) -> bool:
        """Asked of a key that is not known. A first key is accepted where ssh_config says so, and written down."""
        self.refused = key
        keys, authorities, revoked = self.trusted()
        if self.given is not None or keys or authorities or revoked or not self.settings.accepts_new:
            return False
        _write_down(self.settings, key)
        return True

    def verdict(self, reason: str) -> ProviderError:
        """Why the key was refused, and what to do."""
        found = fingerprint(self.refused) if self.refused is not None else ""
        if not found or any(self.refused in line.revoked for line in self.lines):
            return ProviderFatal(
                f"the host key of {self.settings.where} is refused: {reason}; see its known_hosts lines"
            )
        keys = self.trusted()[0]
        if keys:
            return self._another(found, [fingerprint(key) for key in keys])
        return ProviderFatal(self._unknown(found))

    def _given(self) -> list[asyncssh.SSHKey]:
        return [asyncssh.import_public_key(text) for text in self.given or ()]

    def _another(self, found: str, known: list[str]) -> AnotherMachine:
        places = ", ".join(f"{line.file}:{line.number}" for line in self.lines if line.keys)
        text = (
            f"{self.settings.where} shows another host key than the one that is known: {found}, and not "
            f"{' or '.join(known)}{f' ({places})' if places else ''}. It was reinstalled, or another machine has its "
            "address now, or somebody stands in between. It is not used"
        )
        files = dict.fromkeys(line.file for line in self.lines if line.keys)
        if files:
            name = self.settings.known_as
            removals = " and ".join(
                f"`ssh-keygen -f {shlex.quote(str(file))} -R {shlex.quote(name)}`" for file in files
            )
            text += (
                f". Ask who runs it; once you are sure, remove the old key: {removals}; then log in: `{self.command}`"
            )
        return AnotherMachine(text, known=known, found=found)

    def _unknown(self, found: str) -> str:
        file = self.settings.known_hosts[0] if self.settings.known_hosts else Path("~/.ssh/known_hosts")
        scan = f"ssh-keyscan -p {self.settings.port} {self.settings.hostname} >> {shlex.quote(str(file))}"
        return (
            f"the host key of {self.settings.where} is not known; it shows {found}. If that is what "
            "`ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` says on the machine itself, make it known: "
            f"log in once, `{self.command}`, or run `{scan}`"
        )


def fingerprint(key: asyncssh.SSHKey) -> str:
    """As ssh shows it: ``ssh-ed25519 SHA256:…``."""
    return f"{key.get_algorithm()} {key.get_fingerprint()}"


def _lines(settings: Settings) -> Iterator[Line]:
    """Those for this port; where there are none, those for the machine without a port, as ssh has it."""
    found = [line for file in settings.known_hosts for line in _matching(file, settings.known_as)]
    if not found and settings.port != 22 and settings.host_key_alias is None:
        found = [line for file in settings.known_hosts for line in _matching(file, settings.hostname.lower())]
    yield from found


def _matching(file: Path, name: str) -> Iterator[Line]:
    try:
        texts = file.read_text(errors="replace").splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise ProviderFatal(
            f"the known host keys in {file} cannot be read: {error.strerror}; see its permissions"
        ) from error
    for number, text in enumerate(texts, start=1):
        # A line that is damaged is the user's to mend, and no reason to refuse what other lines say.
        with contextlib.suppress(ValueError):
            keys, authorities, revoked, *_ = asyncssh.import_known_hosts(text).match(name, "", None)
            if keys or authorities or revoked:
                yield Line(file, number, tuple(keys), tuple(authorities), tuple(revoked))


def _write_down(settings: Settings, key: asyncssh.SSHKey) -> None:
    """As ssh does with ``StrictHostKeyChecking accept-new``; a key that cannot be written down is not accepted."""
    if not settings.known_hosts or settings.known_hosts[0] == Path(os.devnull):
        return
    file, name = settings.known_hosts[0], settings.known_as
    text = f"{_hashed(name) if settings.hashes_names else name} {key.export_public_key().decode().strip()}\n"
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        before = file.read_bytes() if file.exists() else b""
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "w") as out:
            out.write(text if before.endswith(b"\n") or not before else "\n" + text)
    except OSError as error:
        raise ProviderFatal(f"a new host key cannot be written to {file}: {error.strerror}") from error


def _hashed(name: str) -> str:
    salt = secrets.token_bytes(20)
    digest = hmac.new(salt, name.encode(), hashlib.sha1).digest()
    return f"|1|{base64.b64encode(salt).decode()}|{base64.b64encode(digest).decode()}"
