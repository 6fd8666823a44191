"""What is in a machine's folder on the host: its /etc, made from the host's, and its user's home."""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path

from tests.machines.image import HOME, UID, USER, Image

COPIED = (
    *(
        "alternatives",
        "bash.bashrc",
        "debian_version",
        "environment",
        "gai.conf",
        "host.conf",
        "inputrc",
        "ld.so.cache",
    ),
    *("ld.so.conf", "ld.so.conf.d", "localtime", "login.defs", "nsswitch.conf", "os-release", "pki", "profile"),
    *("profile.d", "protocols", "security", "services", "ssl", "terminfo", "timezone"),
)

SSHD = """Port 22
HostKey /etc/ssh/host_key
PidFile none
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
PermitRootLogin no
UseDNS no
StrictModes no
LogLevel VERBOSE
"""


def fill_etc(etc: Path, name: str, address: str, image: Image) -> None:
    for kept in COPIED:
        _copy(Path("/etc") / kept, etc / kept)
    for file, own in (
        ("passwd", f"{USER}:x:{UID}:{UID}::{HOME}:{image.shell}\n"),
        ("group", f"{USER}:x:{UID}:\n"),
        ("shadow", f"{USER}:*:19000:0:99999:7:::\n"),  # no password, and not locked: "!" would refuse keys
    ):
        (etc / file).write_text(_without_people(Path("/etc") / file) + own)
    (etc / "shadow").chmod(0o600)
    (etc / "machine-id").write_text(secrets.token_hex(16) + "\n")
    (etc / "hostname").write_text(name + "\n")
    (etc / "hosts").write_text(f"127.0.0.1 localhost\n::1 localhost\n{address} {name}\n")
    (etc / "resolv.conf").touch()
    (etc / "mtab").symlink_to("/proc/mounts")
    sftp = "Subsystem sftp internal-sftp\n" if image.sftp else ""
    (etc / "ssh/sshd_config").write_text("".join(f"{line}\n" for line in image.sshd) + SSHD + sftp)


def fill_home(home: Path, public_key: Path, image: Image) -> None:
    (home / ".ssh/authorized_keys").write_text(public_key.read_text())
    (home / ".bashrc").write_text(image.bashrc)
    (home / ".ssh").chmod(0o700)
    (home / ".ssh/authorized_keys").chmod(0o600)
    home.chmod(0o700)
    for path in (home, *home.rglob("*")):
        os.chown(path, UID, UID)


def _copy(source: Path, target: Path) -> None:
    if source.is_symlink():
        target.symlink_to(os.readlink(source))
    elif source.is_dir():
        shutil.copytree(source, target, symlinks=True, ignore=shutil.ignore_patterns("private"))
    elif source.exists():
        shutil.copy2(source, target)


def _without_people(file: Path) -> str:
    """The system's own users and groups: nobody of the host can log in to a machine of the tests."""
    lines = file.read_text().splitlines()
    if file.name != "shadow":
        lines = [line for line in lines if _is_system(line.split(":")[2])]
    return "".join(f"{line}\n" for line in lines)


def _is_system(number: str) -> bool:
    return number.isdigit() and (int(number) < 1000 or int(number) == 65534)
