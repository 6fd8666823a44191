"""Carries a plan of faults out on a stage, and undoes what lasts."""

from __future__ import annotations

import contextlib
import heapq
import itertools
import time
from collections import Counter
from collections.abc import Callable, Sequence

import psutil

from tests.machines.machine import Machine
from tests.scenarios.chaos.plan import Fault, What
from tests.scenarios.chaos.stage import Stage
from tests.scenarios.machines import wait_for

FULL_KIB = 1 << 20
"""More than a small home holds."""


class Strikes:
    """One after the other at their moments, in one thread; those that last are undone at theirs."""

    def __init__(self, stage: Stage, plan: Sequence[Fault]) -> None:
        self._stage = stage
        self._order = itertools.count()
        self._due = [(fault.at_s, next(self._order), lambda fault=fault: self._strike(fault)) for fault in plan]
        heapq.heapify(self._due)
        self._began_s = 0.0
        self.met: Counter[What] = Counter()
        """How many faults of each kind met something that they could break; the proxy counts those of messages."""

    def run(self) -> None:
        """Returns when all are done and undone, and the coordinator and every machine are on."""
        self._began_s = time.monotonic()
        while self._due:
            at_s, _, act = heapq.heappop(self._due)
            wait_for(lambda: time.monotonic() - self._began_s >= at_s, "the next moment")  # noqa: B023
            act()
        self._stage.start()

    def _later(self, after_s: float, act: Callable[[], object]) -> None:
        heapq.heappush(self._due, (time.monotonic() - self._began_s + after_s, next(self._order), act))

    def _strike(self, fault: Fault) -> None:
        stage, machine, proxy = self._stage, self._stage.lab.machines[fault.machine], self._stage.proxy
        name = stage.lab.hosts[fault.machine]
        match fault.what:
            case What.TRIAL:
                self.met[fault.what] += kill(machine, "spawner", children=True)
            case What.AGENT:
                self.met[fault.what] += kill(machine, "--folder")
            case What.COORDINATOR:
                self.met[fault.what] += stage.kill_coordinator()
                self._later(fault.for_s / 4, stage.start)
            case What.POWER | What.CRASH:
                self.met[fault.what] += machine.alive
                machine.kill(silently=fault.what is What.POWER)
                self._later(fault.for_s, lambda: machine.alive or machine.start())
            case What.CUT:
                self.met[fault.what] += machine.alive
                machine.cut()
                self._later(fault.for_s, machine.heal)
            case What.FREEZE:
                self.met[fault.what] += machine.alive
                machine.freeze()
                self._later(fault.for_s, machine.thaw)
            case What.FULL:
                self.met[fault.what] += fill(machine)
                self._later(fault.for_s, lambda: free(machine))
            case What.CLOCK:
                self.met[fault.what] += 1
                stage.step_clock(fault.size * 3600)
            case What.DELAY:
                proxy.delay(name, fault.size)
                self._later(fault.for_s, lambda: proxy.delay(name, 0))
            case What.TEAR:
                proxy.tear(name)
            case What.STRAGGLE:
                proxy.straggle(name, fault.for_s / 4)
            case What.REPEAT:
                proxy.repeat(name)
            case What.DROP:
                self.met[fault.what] += machine.alive
                if machine.alive:
                    machine.drop_connections()


def kill(machine: Machine, word: str, *, children: bool = False) -> bool:
    """kill -9 of what says ``word``, or of one of its children; False where there is nothing of that kind."""
    with contextlib.suppress(psutil.NoSuchProcess):
        found = machine.processes(word)
        if children:
            found = [child for each in found for child in each.children()]
        if found:
            found[0].kill()
            return True
    return False


def fill(machine: Machine) -> bool:
    """Takes all the room there is in its home; False where it is off."""
    if not machine.alive:
        return False
    return "No space" in machine.run("sh", "-c", f"head -c {FULL_KIB}K /dev/zero > filling", check=False).stderr


def free(machine: Machine) -> None:
    if machine.alive:
        machine.run("rm", "-f", "filling", check=False)
