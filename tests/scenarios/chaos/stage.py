"""A lab whose coordinator stands behind a proxy, starts again whenever it was killed, and has a clock to be stepped."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

from clustertune.cli.cluster_choice import choose_cluster
from clustertune.client.nearby import running
from clustertune.coordinator.places import Places
from clustertune.model.errors import ClustertuneError
from tests.machines.machine import Machine
from tests.scenarios.chaos.coordinator import Settings
from tests.scenarios.chaos.proxy import Proxy
from tests.scenarios.lab import Lab
from tests.scenarios.machines import REPOSITORY, wait_for

if TYPE_CHECKING:
    from tests.conftest import TestHome


class Stage:
    """``with Stage(...) as stage``: the coordinator answers. ``settings`` say all but where proxies and clock are."""

    def __init__(
        self, home: TestHome, folder: Path, key: Path, machines: list[Machine], settings: Settings | None = None
    ) -> None:
        self.lab = Lab(home, folder, key, machines)
        self._home, self._folder = home, folder
        self._clock = folder / "clock"
        self._clock.touch()
        settle(self.lab)
        places = Places(home.path, "lab")
        places.prepare()
        proxies = home.path / "p"
        proxies.mkdir()
        self.proxy = Proxy(proxies, places.agent_socket(), self.lab.hosts)
        self._settings = replace(settings or Settings(), proxies=str(proxies), clock=str(self._clock))
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Starts the coordinator where it does not run, and waits until it answers."""
        if self._process is None or self._process.poll() is not None:
            with self.lab.place.log.open("ab") as log:
                told = json.dumps(asdict(self._settings))
                command = [sys.executable, "-m", "tests.scenarios.chaos.coordinator", str(self._home.path), "lab", told]
                self._process = subprocess.Popen(command, cwd=REPOSITORY, stdout=log, stderr=log)
        wait_for(self._answers, "the coordinator's first answer", more=self.lab.log)

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.lab.log()
        record = self.lab.place.record()
        if record is None or record.pid != self._process.pid:
            return False
        try:
            found = running(self.lab.place)
        except ClustertuneError:
            return False
        if found is not None:
            found.close()
        return found is not None

    def kill_coordinator(self) -> bool:
        """False where it is dead already."""
        assert self._process is not None
        alive = self._process.poll() is None
        self._home.killed = True
        self._process.kill()
        self._process.wait()
        return alive

    def step_clock(self, by_s: float) -> None:
        """What the coordinator's wall clock shows from now on."""
        text = self._clock.read_text()
        draft = self._clock.with_suffix(".new")
        draft.write_text(repr(float(text or 0) + by_s))
        draft.replace(self._clock)

    def down(self) -> None:
        """The coordinator ends, too."""
        self.lab.down()
        assert self._process is not None
        self._process.wait(30)

    def close(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.kill_coordinator()
        self.proxy.close()


def settle(lab: Lab) -> None:
    """Writes down the cluster's definition, as the command line would before it starts a coordinator."""
    before = Path.cwd()
    os.chdir(lab.folder)
    try:
        choose_cluster("./cluster.yaml").settle()
    finally:
        os.chdir(before)
