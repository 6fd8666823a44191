"""The shell, the journal and the link as a model: entries are on disk when the test says so, and it may be killed."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from clustertune.coordinator.core import commands as c
from clustertune.coordinator.core import events as e
from clustertune.coordinator.core import facts as f
from clustertune.coordinator.core.core import Core
from clustertune.coordinator.core.fold import Fold
from clustertune.model.instance import Inventory
from tests.coordinator.core import invariants
from tests.coordinator.core.model_agent import ModelAgent
from tests.coordinator.core.world import REGISTRY, check, new_core, progress

Received = tuple[str, int, int]


@dataclass
class Entry:
    """What one event came to, and what it was, where an agent said it."""

    now: float
    step: c.Step
    received: Received | None = None
    event: e.Happening | None = None


@dataclass
class ModelShell:
    """``slow``: nothing reaches the disk by itself. ``asked`` are commands that the world has yet to answer."""

    instances: tuple[str, ...]
    inventories: Mapping[str, Inventory]
    now: float = 1_000.0
    slow: bool = False
    committing: bool = False
    core: Core = field(init=False)
    shadow: Fold = field(init=False)
    journal: list[Entry] = field(default_factory=list)
    waiting: deque[Entry] = field(default_factory=deque)
    taken: dict[tuple[str, int], int] = field(default_factory=dict)
    committed: dict[tuple[str, int], int] = field(default_factory=dict)
    on_disk: dict[str, tuple[int, int]] = field(default_factory=dict)
    agents: dict[tuple[str, int], ModelAgent] = field(default_factory=dict)
    links: dict[str, ModelAgent] = field(default_factory=dict)
    launching: list[c.Launch] = field(default_factory=list)
    asked: list[c.Suggest | c.DeleteStored | c.TidyStorage] = field(default_factory=list)
    storage: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.core = new_core(self.instances)
        self.shadow = Fold(REGISTRY, {}, ())
        self._send(e.Booted(last=0.0))

    # Events

    def send(self, event: e.Happening, after_s: float = 0.001, received: Received | None = None) -> c.Step:
        self.now += after_s
        step = self._send(event, received)
        invariants.hold(self)
        return step

    def _send(self, event: e.Happening, received: Received | None = None) -> c.Step:
        step = self.core.handle(event, self.now)
        for fact in step.facts:
            self.shadow.replay(f.read(*f.write(fact)), self.now)
        self.waiting.append(Entry(self.now, step, received, event))
        check(self.core)
        if not self.slow:
            self.commit(len(self.waiting))
        return step

    def entries(self) -> list[Entry]:
        """On disk or not yet."""
        return [*self.journal, *self.waiting]

    def rows(self) -> list[c.ReportRow]:
        """As in the table of curves, which ignores what it has."""
        rows: dict[tuple[str, int, int, int], c.ReportRow] = {}
        for row in (row for entry in self.entries() for row in entry.step.reports):
            rows.setdefault((row.experiment, row.trial, row.attempt, row.resource), row)
        return list(rows.values())

    def commit(self, count: int) -> None:
        """So many entries are on disk: what they order is done, and agents are told."""
        if self.committing:
            return
        self.committing = True
        while self.waiting and (count > 0 or not self.slow):
            count -= 1
            entry = self.waiting.popleft()
            self.journal.append(entry)
            if entry.received is not None:
                self._acknowledge(*entry.received)
            for command in entry.step.commands:
                self._carry_out(command)
        self.committing = False

    def _acknowledge(self, instance: str, epoch: int, seq: int) -> None:
        self.committed[instance, epoch] = max(seq, self.committed.get((instance, epoch), 0))
        self.on_disk[instance] = epoch, seq
        if (agent := self.links.get(instance)) is not None and agent.epoch == epoch:
            agent.acknowledged(self.committed[instance, epoch])

    def _carry_out(self, command: c.Command) -> None:
        if isinstance(command, c.Launch):
            self.launching.append(command)
        elif isinstance(command, c.Terminate):
            self.gone(command.instance, command.epoch)
        elif isinstance(command, c.Suggest | c.DeleteStored | c.TidyStorage):
            self.asked.append(command)
        elif isinstance(command, c.Log | c.CollectLog):
            return
        elif (agent := self.links.get(command.instance)) is not None:
            agent.inbox.append(command)

    # Machines

    def gone(self, instance: str, epoch: int) -> None:
        """The machine and all on it are no more."""
        self.launching = [x for x in self.launching if (x.instance, x.epoch) != (instance, epoch)]
        agent = self.agents.pop((instance, epoch), None)
        if agent is not None:
            self.cut(agent)

    def came_up(self, instance: str, epoch: int) -> None:
        """An agent begins there."""
        self.launching = [x for x in self.launching if (x.instance, x.epoch) != (instance, epoch)]
        agent = ModelAgent(instance, epoch, self.inventories[instance], self.storage.__contains__)
        self.agents[instance, epoch] = agent
        self.link(agent)

    def link(self, agent: ModelAgent) -> None:
        """An agent says hello; one of another epoch is fenced, and ends all it runs."""
        known = self.core.state.instances.get(agent.instance)
        if known is None or known.epoch != agent.epoch:
            self.gone(agent.instance, agent.epoch)
            return
        if (older := self.links.pop(agent.instance, None)) is not None:
            older.disconnect()
        key = (agent.instance, agent.epoch)
        if key not in self.taken:
            epoch, seq = self.on_disk.get(agent.instance, (0, 0))
            self.taken[key] = self.committed[key] = seq if epoch == agent.epoch else 0
        self.links[agent.instance] = agent
        agent.acknowledged(self.committed.get(key, 0))
        agent.connect()
        self.send(e.AgentConnected(instance=agent.instance, epoch=agent.epoch, inventory=agent.inventory))

    def cut(self, agent: ModelAgent) -> None:
        """The link is down, and the coordinator has noticed."""
        agent.disconnect()
        if self.links.get(agent.instance) is agent:
            del self.links[agent.instance]
            self.send(e.AgentDisconnected(instance=agent.instance, epoch=agent.epoch))

    def hear(self, agent: ModelAgent) -> bool:
        """The next message of the agent arrives; False where there is none."""
        if not agent.connected or (found := agent.next_message()) is None:
            return False
        seq, event = found
        key = (agent.instance, agent.epoch)
        if seq <= self.taken[key]:
            agent.acknowledged(self.committed.get(key, 0))
            return True
        assert seq == self.taken[key] + 1, f"message {seq} came after {self.taken[key]}"
        self.taken[key] = seq
        self.send(event, received=(*key, seq))
        return True

    # The end of a coordinator

    def crash(self, keep: int) -> None:
        """kill -9: of what was not on disk, only the first entries got there; nothing that they order was done."""
        for _ in range(min(keep, len(self.waiting))):
            entry = self.waiting.popleft()
            self.journal.append(entry)
            if entry.received is not None:
                self.on_disk[entry.received[0]] = entry.received[1:]
        self.waiting.clear()
        self.taken, self.committed, self.links = {}, {}, {}
        self.asked, self.launching = [], []
        for agent in self.agents.values():
            agent.disconnect()
        self.core, self.shadow = self._again()
        self.now += 3.0
        self._send(e.Booted(last=self.journal[-1].now if self.journal else 0.0))
        invariants.hold(self)

    def _again(self) -> tuple[Core, Fold]:
        core, shadow = new_core(self.instances), Fold(REGISTRY, {}, ())
        for entry in self.entries():
            for fact in entry.step.facts:
                core.fold.replay(f.read(*f.write(fact)), entry.now)
                shadow.replay(f.read(*f.write(fact)), entry.now)
        core.fold.restore(progress(self.rows()), self._curve)
        return core, shadow

    def _curve(self, name: str) -> Any:
        return ((x.trial, x.resource, x.metrics) for x in self.rows() if x.experiment == name and x.observed)

    def read_again(self) -> Core:
        """What a coordinator would find on disk, if all were there."""
        return self._again()[0]
