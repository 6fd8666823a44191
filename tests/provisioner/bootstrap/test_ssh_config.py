"""The user's ssh_config means to us what it means to ssh."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from clustertune.model.errors import ProviderFatal
from clustertune.provisioner.bootstrap.ssh_config import Settings, read
from clustertune.provisioner.bootstrap.target import Target


def settings(tmp_path: Path, text: str, target: Target | None = None) -> Settings:
    config = tmp_path / "config"
    config.write_text(text)
    return asyncio.run(read(target or Target(host="gpu"), config))


def test_what_ssh_reads_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    text = """
    Host gpu  # the one in the cellar
      HostName 10.0.0.5
      User me
      Port 2222
      IdentityFile ~/.ssh/%r-%h
      IdentitiesOnly yes
      IdentityAgent none
      ProxyJump outer,me@inner:23
      UserKnownHostsFile /known/one /known/two
      GlobalKnownHostsFile none
      HostKeyAlias cellar
      ConnectTimeout 3
      StrictHostKeyChecking accept-new
      HashKnownHosts yes
      AddressFamily inet6
    """
    assert settings(tmp_path, text) == Settings(
        hostname="10.0.0.5",
        port=2222,
        user="me",
        identities=(Path("/home/me/.ssh/me-10.0.0.5"),),
        identities_only=True,
        jumps=("outer", "me@inner:23"),
        known_hosts=(Path("/known/one"), Path("/known/two")),
        host_key_alias="cellar",
        accepts_new=True,
        hashes_names=True,
        connect_limit_s=3,
        family="inet6",
    )


def test_without_a_word_of_the_host_it_is_as_ssh_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSH_AUTH_SOCK", "/run/agent")
    found = settings(tmp_path, "")
    assert (found.hostname, found.port, found.jumps, found.accepts_new) == ("gpu", 22, (), False)
    assert found.agent == "/run/agent"
    assert any(path.name == "id_ed25519" for path in found.identities)
    assert found.known_hosts[0].name == "known_hosts"


def test_a_proxy_command_is_filled_in(tmp_path: Path) -> None:
    found = settings(tmp_path, "Host *\n  ProxyCommand connect %r@%h:%p %n 100%%\n", Target(host="gpu", user="me"))
    assert found.proxy_command == "connect me@gpu:22 gpu 100%"


def test_a_definition_wins_over_ssh_config(tmp_path: Path) -> None:
    text = "Host gpu\n  User other\n  Port 1\n  ProxyJump other\n  IdentityFile /other\n"
    key = tmp_path / "key"
    key.touch()
    found = settings(tmp_path, text, Target(host="gpu", user="me", port=2, jump="outer", identity=key))
    assert (found.user, found.port, found.jumps, found.identities[0]) == ("me", 2, ("outer",), key)


def test_a_configuration_that_hangs_does_not_hang_us(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clustertune.provisioner.bootstrap.ssh_config.READ_LIMIT_S", 0.3)
    with pytest.raises(ProviderFatal, match="does a `Match exec` hang"):
        settings(tmp_path, 'Match exec "sleep 20"\n  User me\n')


def test_without_an_ssh_program_hosts_are_named_in_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    found = asyncio.run(read(Target(host="10.0.0.5", user="me", jump="outer")))
    assert (found.hostname, found.user, found.port, found.jumps) == ("10.0.0.5", "me", 22, ("outer",))
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh/config").touch()
    with pytest.raises(ProviderFatal, match="apt install openssh-client"):
        asyncio.run(read(Target(host="10.0.0.5")))
