"""A machine is named as ``ssh`` names it."""

from __future__ import annotations

import pytest

from clustertune.model.errors import ProviderFatal
from clustertune.provisioner.bootstrap.target import Target


@pytest.mark.parametrize(
    ("text", "host", "user", "port"),
    [
        ("gpu-1", "gpu-1", None, None),
        ("me@gpu-1", "gpu-1", "me", None),
        ("gpu-1.lab:2222", "gpu-1.lab", None, 2222),
        ("me@corp@10.0.0.5:22", "10.0.0.5", "me@corp", 22),
        ("fd00::1", "fd00::1", None, None),
        ("::1", "::1", None, None),
        ("fe80::1%eth0", "fe80::1%eth0", None, None),
        ("me@[fd00::1]:2222", "fd00::1", "me", 2222),
        ("[fd00::1]", "fd00::1", None, None),
    ],
)
def test_a_host_may_come_with_a_user_and_a_port(text: str, host: str, user: str | None, port: int | None) -> None:
    assert Target.parse(text) == Target(host=host, user=user, port=port)


@pytest.mark.parametrize(
    "text", ["", "@gpu", "gpu:", "gpu:x", "gpu:0", "gpu:99999", "-oProxyCommand=id", "a b", "u@-x", "a/b"]
)
def test_what_names_no_host_is_refused(text: str) -> None:
    with pytest.raises(ProviderFatal, match=r"names no host|no port"):
        Target.parse(text)


def test_the_command_that_a_user_would_type_is_shown_as_such() -> None:
    assert Target(host="gpu").ssh_command() == "ssh gpu"
    assert Target(host="gpu", user="me", port=2222, jump="a,b").ssh_command() == "ssh -l me -p 2222 -J a,b gpu"
