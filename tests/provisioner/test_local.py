"""The local provider with real agent processes."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp

import psutil
import pytest

from clustertune.model.errors import NoSuchName, ProviderError
from clustertune.model.processes import start_mark
from clustertune.provisioner.contracts import Found, LaunchIntent, ProviderSetting
from clustertune.provisioner.providers.local import Local
from clustertune.provisioner.registry import make_provider
from tests.scenarios.test_nothing_is_lost import wait_until


@pytest.fixture
def folder() -> Iterator[Path]:
    path = Path(mkdtemp(prefix="ct-"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def provider(folder: Path) -> Iterator[Local]:
    local = Local(setting(folder))
    yield local
    local.terminate(["local-0"])


def setting(folder: Path) -> ProviderSetting:
    return ProviderSetting(cluster="local", folder=folder)


def intent(folder: Path, epoch: int = 1, instance: str = "local-0") -> LaunchIntent:
    nobody = folder / "nobody.sock"
    return LaunchIntent(instance=instance, epoch=epoch, token="the-token", agent_socket=nobody, files_socket=nobody)


def pid_of(folder: Path, instance: str = "local-0") -> int:
    return int(json.loads((folder / instance / "agent.json").read_text())["pid"])


def test_a_launched_agent_lives_in_a_session_of_its_own_and_is_listed(folder: Path, provider: Local) -> None:
    provider.launch(intent(folder), print)
    assert Local(setting(folder)).list() == [Found(instance="local-0", epoch=1)]
    assert os.getsid(pid_of(folder)) == pid_of(folder)


def test_the_same_launch_twice_is_one_agent(folder: Path, provider: Local) -> None:
    provider.launch(intent(folder), print)
    first = pid_of(folder)
    provider.launch(intent(folder), print)
    Local(setting(folder)).launch(intent(folder), print)
    assert pid_of(folder) == first


def test_a_new_epoch_ends_the_agent_of_the_old_one(folder: Path, provider: Local) -> None:
    provider.launch(intent(folder), print)
    first = pid_of(folder)
    provider.launch(intent(folder, epoch=2), print)
    assert start_mark(first) is None
    assert provider.list() == [Found(instance="local-0", epoch=2)]


def test_a_killed_agent_is_no_longer_listed(folder: Path, provider: Local) -> None:
    provider.launch(intent(folder), print)
    os.kill(pid_of(folder), signal.SIGKILL)
    wait_until(lambda: provider.list() == [])


def test_another_process_that_was_given_the_same_number_is_neither_listed_nor_ended(
    folder: Path, provider: Local
) -> None:
    home = folder / "local-0"
    home.mkdir()
    (home / "agent.json").write_text(json.dumps({"pid": os.getpid(), "mark": "long ago", "epoch": 1}))
    assert provider.list() == []
    provider.terminate(["local-0"])
    assert start_mark(os.getpid()) is not None


def test_terminating_ends_the_agent_and_is_no_error_the_second_time(folder: Path, provider: Local) -> None:
    provider.launch(intent(folder), print)
    pid = pid_of(folder)
    wait_until(lambda: "instance local-0" in provider.last_words("local-0"))
    provider.terminate(["local-0"])
    provider.terminate(["local-0", "never-there"])
    assert start_mark(pid) is None
    assert provider.list() == []


def test_the_token_is_in_no_argument_no_environment_and_no_file(folder: Path, provider: Local) -> None:
    provider.launch(intent(folder), print)
    process = psutil.Process(pid_of(folder))
    wait_until(lambda: "instance local-0" in Local(setting(folder)).last_words("local-0"))
    assert "the-token" not in " ".join(process.cmdline())
    assert "the-token" not in str(process.environ())
    for path in folder.rglob("*"):
        if path.is_file():
            assert b"the-token" not in path.read_bytes(), path


def test_a_folder_that_cannot_be_made_is_the_providers_refusal(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ProviderError, match="cannot be started"):
        Local(setting(tmp_path / "file")).launch(intent(tmp_path), print)


def test_an_unknown_provider_is_named_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(NoSuchName, match=r"locol.*did you mean 'local'"):
        make_provider("locol", setting(tmp_path))
