"""Tells this installation of a machine from any other, also from one made of the same image."""

from __future__ import annotations

import hashlib
import re
import secrets
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from clustertune.agent.root import Root

_IDS = (Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id"))
_MARK = "machine.json"


def machine_id(root: Root) -> str:
    """Of what the system says, which another machine or installation has not.

    And of a mark in our own folder, which copies of one image have not in common. Raises OSError.
    """
    return hashlib.sha256(f"{_system_id()} {_mark(root)}".encode()).hexdigest()[:32]


def _system_id() -> str:
    for path in _IDS:
        with suppress(OSError, UnicodeDecodeError):
            if found := path.read_text().strip():
                return found
    if sys.platform == "darwin":
        with suppress(OSError, subprocess.SubprocessError):
            command = ["/usr/sbin/ioreg", "-rd1", "-c", "IOPlatformExpertDevice"]
            told = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False).stdout
            if named := re.search(r'"IOPlatformUUID" = "([^"]+)"', told):
                return named[1]
    return ""


def _mark(root: Root) -> str:
    with root.locked("machine"):
        mark = root.read(_MARK).get("mark")
        if not isinstance(mark, str):
            mark = secrets.token_hex(16)
            root.write(_MARK, {"mark": mark})
    return mark
