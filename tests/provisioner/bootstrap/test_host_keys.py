"""A machine is used only where its host key is the one that is known."""

from __future__ import annotations

import subprocess
from pathlib import Path

import asyncssh
import pytest

from clustertune.model.errors import AnotherMachine, ProviderFatal
from tests.machines.fixture import Machines
from tests.machines.machine import Machine
from tests.provisioner.bootstrap.ssh_user import SshUser, new_key, run


def meet(user: SshUser, **options: object) -> str:
    """Connects; the fingerprint that was shown."""

    async def main() -> str:
        async with await user.connect(**options) as connection:
            return connection.host_key

    return run(main())


def fingerprint(machine: Machine) -> str:
    return asyncssh.import_public_key(machine.host_key).get_fingerprint()


def test_an_unknown_key_is_refused_with_its_fingerprint_and_the_remedy(ssh_machines: Machines, user: SshUser) -> None:
    machine = ssh_machines.one()
    user.says("gpu", f"HostName {machine.address}", f"IdentityFile {user.key}")
    with pytest.raises(ProviderFatal) as refused:
        meet(user)
    text = str(refused.value)
    assert not isinstance(refused.value, AnotherMachine)
    assert f"ssh-ed25519 {fingerprint(machine)}" in text
    assert "log in once, `ssh gpu`" in text
    scan = f"ssh-keyscan -p 22 {machine.address} >> {user.known_hosts}"
    assert f"`{scan}`" in text
    subprocess.run(["sh", "-c", scan], check=True, capture_output=True)
    assert fingerprint(machine) in meet(user)


def test_a_changed_key_is_refused_and_both_are_told(ssh_machines: Machines, user: SshUser) -> None:
    machine = ssh_machines.one()
    user.known_hosts.write_text("# mine\n")
    user.introduce(machine)
    before = fingerprint(machine)
    machine.kill()
    machine.start(new_host_key=True)
    with pytest.raises(AnotherMachine) as refused:
        meet(user)
    assert refused.value.known == (f"ssh-ed25519 {before}",)
    assert refused.value.found == f"ssh-ed25519 {fingerprint(machine)}"
    text = str(refused.value)
    assert f"{user.known_hosts}:2" in text
    assert all(word in text for word in ("reinstalled", "another machine", "in between", "not used"))
    remedy = f"ssh-keygen -f {user.known_hosts} -R {machine.address}"
    assert f"`{remedy}`" in text
    subprocess.run(remedy.split(), check=True, capture_output=True)
    with pytest.raises(ProviderFatal, match="is not known"):
        meet(user)


def test_keys_given_beforehand_decide_alone(any_machines: Machines, user: SshUser) -> None:
    machine, other = any_machines(2)
    user.introduce(machine)
    assert fingerprint(machine) in meet(user, keys=[machine.host_key])
    with pytest.raises(AnotherMachine, match="not used"):
        meet(user, keys=[other.host_key])
    user.known_hosts.write_text("")
    assert fingerprint(machine) in meet(user, keys=[other.host_key, machine.host_key])


@pytest.mark.parametrize("hashed", ["no", "yes"])
def test_a_first_key_is_accepted_and_written_down_where_ssh_config_says_so(
    ssh_machines: Machines, user: SshUser, hashed: str
) -> None:
    machine = ssh_machines.one()
    user.known_hosts.write_text("other.host ssh-ed25519 AAAA")
    way = (f"HostName {machine.address}", f"IdentityFile {user.key}", f"HashKnownHosts {hashed}")
    user.says("gpu", *way, "StrictHostKeyChecking accept-new")
    assert fingerprint(machine) in meet(user)
    known = user.known_hosts.read_text()
    assert known.startswith("other.host ssh-ed25519 AAAA\n")
    assert (machine.address in known) == (hashed == "no")
    found = subprocess.run(
        ["ssh-keygen", "-F", machine.address, "-f", str(user.known_hosts)], capture_output=True, text=True, check=True
    )
    assert machine.host_key in found.stdout
    machine.kill()
    machine.start(new_host_key=True)
    with pytest.raises(AnotherMachine):
        meet(user)


def test_no_strict_checking_takes_new_keys_and_never_changed_ones(ssh_machines: Machines, user: SshUser) -> None:
    machine = ssh_machines.one()
    way = (f"HostName {machine.address}", f"IdentityFile {user.key}", "StrictHostKeyChecking no")
    user.says("gpu", *way)
    meet(user)
    machine.kill()
    machine.start(new_host_key=True)
    with pytest.raises(AnotherMachine):
        meet(user)


def test_a_key_of_another_kind_than_the_known_one_is_no_proof(
    ssh_machines: Machines, user: SshUser, tmp_path: Path
) -> None:
    machine = ssh_machines.one()
    user.says("gpu", f"HostName {machine.address}", f"IdentityFile {user.key}")
    public = new_key(tmp_path / "rsa", kind="rsa").with_suffix(".pub").read_text()
    user.known_hosts.write_text(f"{machine.address} {public}")
    with pytest.raises(AnotherMachine, match="ssh-rsa SHA256"):
        meet(user)


def test_a_machine_is_known_by_its_alias_by_patterns_and_on_its_port(ssh_machines: Machines, user: SshUser) -> None:
    machine = ssh_machines.one(sshd=("Port 2022",))
    key = f"IdentityFile {user.key}"
    user.says("named", f"HostName {machine.address}", "Port 2022", key, "HostKeyAlias farm-1")
    user.says("gpu", f"HostName {machine.address}", "Port 2022", key)
    user.known_hosts.write_text(f"damaged\nfarm-* {machine.host_key}\n")

    async def main() -> None:
        async with await user.connect("named") as connection:
            assert fingerprint(machine) in connection.host_key

    run(main())
    with pytest.raises(ProviderFatal, match=f"ssh-keyscan -p 2022 {machine.address}"):
        meet(user)
    other = new_key(user.folder / "other").with_suffix(".pub").read_text()
    user.known_hosts.write_text(f"[{machine.address}]:2022 {machine.host_key}\n{machine.address} {other}")
    assert fingerprint(machine) in meet(user)
    user.known_hosts.write_text(f"{machine.address} {machine.host_key}\n")
    assert fingerprint(machine) in meet(user)


def test_revoked_keys_are_refused(any_machines: Machines, user: SshUser) -> None:
    machine = any_machines.one()
    user.introduce(machine)
    with user.known_hosts.open("a") as known:
        known.write(f"@revoked * {machine.host_key}\n")
    with pytest.raises(ProviderFatal, match="revoked"):
        meet(user)


def test_a_host_certificate_of_a_known_authority_is_proof_enough(
    ssh_machines: Machines, user: SshUser, tmp_path: Path
) -> None:
    machine = ssh_machines.one(sshd=("HostCertificate /home/ubuntu/host-cert.pub",))
    authority = new_key(tmp_path / "authority")
    (tmp_path / "host.pub").write_text(machine.host_key + "\n")
    sign = ["ssh-keygen", "-q", "-s", str(authority), "-I", "host", "-h", "-n", machine.address]
    subprocess.run([*sign, str(tmp_path / "host.pub")], check=True)
    machine.run("tee", "/home/ubuntu/host-cert.pub", given=(tmp_path / "host-cert.pub").read_bytes())
    machine.kill()
    machine.start()
    user.says("gpu", f"HostName {machine.address}", f"IdentityFile {user.key}")
    public = authority.with_suffix(".pub").read_text()
    user.known_hosts.write_text(f"@cert-authority 10.* {public}")
    assert fingerprint(machine) in meet(user)
