"""What every provider promises, asked of each: one suite."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import psutil
import pytest

from clustertune.model.errors import ProviderError
from clustertune.provisioner.contracts import Found, LaunchIntent, Provider, ProviderSetting
from clustertune.provisioner.registry import make_provider
from tests.machines.fixture import Machines
from tests.provisioner.bootstrap.ssh_user import SshUser
from tests.scenarios.machines import wait_for


@dataclass(frozen=True)
class Asked:
    """A provider with one machine, made as often as a coordinator is started; ``agents`` are the processes there."""

    make: Callable[[], Provider]
    folder: Path
    agents: Callable[[], list[psutil.Process]]

    def intent(self, epoch: int = 1) -> LaunchIntent:
        nobody = self.folder / "nobody.sock"
        name = self.make().instances()[0]
        return LaunchIntent(instance=name, epoch=epoch, token="the-token", agent_socket=nobody, files_socket=nobody)

    def found(self, epoch: int = 1) -> list[Found]:
        return [Found(instance=self.make().instances()[0], epoch=epoch)]


@pytest.fixture
def folder() -> Iterator[Path]:
    path = Path(mkdtemp(prefix="ct-"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def local(folder: Path) -> Asked:
    setting = ProviderSetting(cluster="local", folder=folder)

    def agents() -> list[psutil.Process]:
        return [process for process in psutil.process_iter() if _is_agent(process, str(folder))]

    return Asked(lambda: make_provider("local", setting), folder, agents)


@pytest.fixture
def ssh(folder: Path, tmp_path: Path, ssh_machines: Machines, monkeypatch: pytest.MonkeyPatch) -> Asked:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    machine, user = ssh_machines.one(), SshUser(tmp_path, ssh_machines.key)
    user.introduce(machine)
    options: dict[str, Any] = {"hosts": [{"host": "gpu"}], "ssh_config": str(user.config)}
    setting = ProviderSetting(cluster="lab", folder=folder, mark="mine", options=options)
    return Asked(lambda: make_provider("ssh", setting), folder, lambda: machine.processes("--folder"))


@pytest.fixture(params=["local", "ssh"])
def asked(request: pytest.FixtureRequest) -> Iterator[Asked]:
    found: Asked = request.getfixturevalue(request.param)
    yield found
    for agent in found.agents():
        with contextlib.suppress(psutil.NoSuchProcess):
            agent.kill()


@pytest.fixture
def provider(asked: Asked) -> Iterator[Provider]:
    made = asked.make()
    yield made
    with contextlib.suppress(ProviderError):
        made.terminate(made.instances())
    made.close()


def _is_agent(process: psutil.Process, folder: str) -> bool:
    with contextlib.suppress(psutil.Error):
        words = process.cmdline()
        return "clustertune.agent" in words and any(word.startswith(folder) for word in words)
    return False


def alive(asked: Asked) -> list[int]:
    return [process.pid for process in asked.agents() if process.status() != psutil.STATUS_ZOMBIE]


def test_what_is_launched_is_there_and_listed(asked: Asked, provider: Provider) -> None:
    assert provider.list() == []
    provider.launch(asked.intent(), print)
    assert list(provider.list()) == asked.found()
    assert len(alive(asked)) == 1


def test_the_same_launch_again_changes_nothing(asked: Asked, provider: Provider) -> None:
    provider.launch(asked.intent(), print)
    before = alive(asked)
    provider.launch(asked.intent(), print)
    assert alive(asked) == before


def test_a_launch_of_a_later_epoch_ends_the_earlier_agent(asked: Asked, provider: Provider) -> None:
    provider.launch(asked.intent(), print)
    before = alive(asked)
    provider.launch(asked.intent(epoch=2), print)
    assert list(provider.list()) == asked.found(epoch=2)
    assert len(alive(asked)) == 1
    assert alive(asked) != before


def test_an_agent_that_is_killed_is_soon_not_listed(asked: Asked, provider: Provider) -> None:
    provider.launch(asked.intent(), print)
    for agent in asked.agents():
        agent.kill()
    wait_for(lambda: list(provider.list()) == [], "the loss to be noticed")


def test_ending_what_is_gone_is_no_error(asked: Asked, provider: Provider) -> None:
    provider.terminate(provider.instances())
    provider.launch(asked.intent(), print)
    provider.terminate(provider.instances())
    provider.terminate([*provider.instances(), "never-there"])
    assert list(provider.list()) == []
    assert alive(asked) == []


def test_machines_stay_when_the_coordinator_goes_and_the_next_takes_them_up(asked: Asked, provider: Provider) -> None:
    provider.launch(asked.intent(), print)
    before = alive(asked)
    provider.close()
    assert alive(asked) == before
    other = asked.make()
    try:
        other.adopt([asked.intent()])
        assert list(other.list()) == asked.found()
        other.launch(asked.intent(), print)
        assert alive(asked) == before
        other.terminate(other.instances())
        assert alive(asked) == []
    finally:
        other.close()


def test_what_an_earlier_coordinator_launched_can_be_ended_by_one_that_never_took_it_up(
    asked: Asked, provider: Provider
) -> None:
    provider.launch(asked.intent(), print)
    provider.close()
    other = asked.make()
    try:
        other.terminate(other.instances())
        assert alive(asked) == []
    finally:
        other.close()


def test_an_agent_that_died_while_nobody_looked_is_noticed_by_the_next_coordinator(
    asked: Asked, provider: Provider
) -> None:
    provider.launch(asked.intent(), print)
    provider.close()
    for agent in asked.agents():
        agent.kill()
    other = asked.make()
    try:
        other.adopt([asked.intent()])
        wait_for(lambda: list(other.list()) == [], "the loss to be noticed")
    finally:
        other.close()


def test_the_agents_log_can_be_read_and_holds_no_token(asked: Asked, provider: Provider) -> None:
    provider.launch(asked.intent(), print)
    name = provider.instances()[0]
    wait_for(lambda: f"instance {name}, epoch 1" in provider.last_words(name), "the agent's first words")
    assert "the-token" not in provider.last_words(name)
    assert provider.last_words("never-there") == ""


def test_a_closed_provider_can_be_closed_again(provider: Provider) -> None:
    provider.close()
    provider.close()
    assert list(provider.instances())
