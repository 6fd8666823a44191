"""A user who can log in to the tests' machines, for each test that asks."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.machines.fixture import Machines
from tests.provisioner.bootstrap.ssh_user import SshUser


@pytest.fixture
def user(tmp_path: Path, any_machines: Machines, monkeypatch: pytest.MonkeyPatch) -> SshUser:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return SshUser(tmp_path, any_machines.key)
