"""A coordinator whose clock can be stepped, that gives agents up sooner, and whose agents come through a proxy.

``python -m tests.scenarios.chaos.coordinator HOME CLUSTER SETTINGS``: a JSON object, see Settings.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from clustertune.coordinator.__main__ import serve
from clustertune.coordinator.places import Places
from clustertune.model.clock import SystemClock
from clustertune.provisioner.contracts import LaunchIntent, ProviderSetting, Tell
from clustertune.provisioner.providers.ssh import Ssh


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """``proxies`` holds a socket for each instance, ``clock`` the seconds by which the wall clock is off."""

    proxies: str = ""
    clock: str = ""
    lost_after_s: float = 120.0
    orphan_after_s: float = 7200.0


class SteppedClock(SystemClock):
    """Its wall clock is off by what a file says, each time it is asked."""

    def __init__(self, path: str) -> None:
        self._path = path

    def wall_s(self) -> float:
        return super().wall_s() + (float(Path(self._path).read_text() or 0) if self._path else 0.0)


class Ours(Ssh):
    """The provider as it is, told other sockets and another patience."""

    def __init__(self, setting: ProviderSetting, settings: Settings) -> None:
        super().__init__(setting)
        self._told = settings

    def launch(self, intent: LaunchIntent, tell: Tell) -> None:
        super().launch(self._changed(intent), tell)

    def adopt(self, intents: Sequence[LaunchIntent]) -> None:
        super().adopt([self._changed(intent) for intent in intents])

    def _changed(self, intent: LaunchIntent) -> LaunchIntent:
        socket = intent.agent_socket
        if self._told.proxies:
            socket = Path(self._told.proxies, f"{intent.instance}.sock")
        return replace(intent, agent_socket=socket, orphan_after_s=self._told.orphan_after_s)


def main(home: str, cluster: str, told: str) -> None:
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.INFO)
    logging.getLogger("asyncssh").setLevel(logging.WARNING)
    settings, places = Settings(**json.loads(told)), Places(Path(home), cluster)
    places.prepare()
    with places.lock():
        asyncio.run(
            serve(
                places,
                clock=SteppedClock(settings.clock),
                lost_after_s=settings.lost_after_s,
                make=lambda _, setting: Ours(setting, settings),
            )
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
