"""Stands between the tunnels and the coordinator: does to messages what links do, and remembers what was promised."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import Counter, defaultdict
from collections.abc import Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.scenarios.chaos.frames import Frame, frames
from tests.scenarios.chaos.plan import What

Reported = tuple[str, int]
"""An attempt, and the level that it reported."""

_LATE_S = 0.3


@dataclass(slots=True)
class Promises:
    """What one epoch of an agent said, by number, and how far the coordinator told it that all is on disk."""

    reports: dict[int, list[Reported]] = field(default_factory=dict)
    raw: dict[int, bytes] = field(default_factory=dict)
    acknowledged: int = 0

    def kept(self) -> set[Reported]:
        numbers = [number for number in self.reports if number <= self.acknowledged]
        return {reported for number in numbers for reported in self.reports[number]}


class Ends:
    """The two streams of one connection: the agent's, and the coordinator's."""

    def __init__(self, agent: asyncio.StreamWriter, coordinator: asyncio.StreamWriter) -> None:
        self.agent, self.coordinator = agent, coordinator
        self.holding = False
        self.held: list[bytes] = []
        self.promises = Promises()

    def cut(self, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    def cut_both(self) -> None:
        self.cut(self.agent)
        self.cut(self.coordinator)


class Proxy:
    """One socket an instance, in a loop of its own in a thread of its own. Its methods are for other threads."""

    def __init__(self, folder: Path, coordinator: Path, instances: list[str]) -> None:
        self._coordinator = coordinator
        self._paths = {name: folder / f"{name}.sock" for name in instances}
        self.promises: defaultdict[tuple[str, int], Promises] = defaultdict(Promises)
        self._ends: dict[str, Ends] = {}
        self._delays = dict.fromkeys(instances, 0.0)
        self._tearing: set[str] = set()
        self._repeating: set[str] = set()
        self.met: Counter[What] = Counter()
        """How many faults of each kind met a message."""
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="proxy")
        self._thread.start()
        self._ready.wait()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._ending = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        servers = [
            await asyncio.start_unix_server(lambda r, w, name=name: self._accept(name, r, w), path)  # type: ignore[misc]
            for name, path in self._paths.items()
        ]
        self._ready.set()
        await self._ending.wait()
        for server in servers:
            server.close()
        for ends in self._ends.values():
            ends.cut_both()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def close(self) -> None:
        self._call(self._end())
        self._thread.join()
        for path in self._paths.values():
            path.unlink(missing_ok=True)

    async def _end(self) -> None:
        self._ending.set()

    # What is done to messages

    def delay(self, instance: str, delay_s: float) -> None:
        """Each message, from now on, both ways; 0 ends it."""
        self._delays[instance] = delay_s

    def tear(self, instance: str) -> None:
        """The agent's next message comes half."""
        self._tearing.add(instance)

    def repeat(self, instance: str) -> None:
        """The link tears, and what was acknowledged over it is said again over the next one."""
        self._repeating.add(instance)
        self.tear(instance)

    def straggle(self, instance: str, hold_s: float) -> None:
        """What the agent says meanwhile is held; it then loses its link, and what was held arrives all the same."""
        self._call(self._straggle(instance, hold_s))

    def holds(self, instance: str) -> bool:
        """Whether what its agent says is being held."""
        return instance in self._ends and self._ends[instance].holding

    async def _straggle(self, instance: str, hold_s: float) -> None:
        if (ends := self._ends.get(instance)) is None:
            return
        ends.holding = True
        await asyncio.sleep(hold_s)
        ends.cut(ends.agent)
        self._spawn(self._deliver_late(ends))

    async def _deliver_late(self, ends: Ends) -> None:
        for raw in ends.held:
            self.met[What.STRAGGLE] += 1
            ends.coordinator.write(raw)
            await asyncio.sleep(_LATE_S / len(ends.held))
        ends.cut(ends.coordinator)

    def _call(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result()

    # Connections

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _accept(self, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._spawn(self._pass_on(name, reader, writer))

    async def _pass_on(self, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            answers, coordinator = await asyncio.open_unix_connection(self._coordinator)
        except OSError:
            writer.transport.abort()
            return
        ends = self._ends[name] = Ends(writer, coordinator)
        both = [asyncio.create_task(self._up(name, ends, reader)), asyncio.create_task(self._down(name, ends, answers))]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if ends.holding:
                await asyncio.wait(both)
        finally:
            for task in both:
                task.cancel()
            await asyncio.gather(*both, return_exceptions=True)
            if not ends.holding:
                ends.cut_both()

    async def _up(self, name: str, ends: Ends, reader: asyncio.StreamReader) -> None:
        async for frame in frames(reader):
            await self._wait(name)
            self._note_said(name, ends, frame)
            if name in self._tearing and "seq" in frame.message:
                self._tearing.discard(name)
                self.met[What.TEAR] += 1
                ends.coordinator.write(frame.raw[: len(frame.raw) // 2])
                return
            if ends.holding:
                ends.held.append(frame.raw)
            else:
                ends.coordinator.write(frame.raw)
                await _drained(ends.coordinator)

    async def _down(self, name: str, ends: Ends, reader: asyncio.StreamReader) -> None:
        async for frame in frames(reader):
            kind, told = frame.message.get("type"), ends.promises
            if kind in ("ack", "welcome"):
                told.acknowledged = max(
                    told.acknowledged, frame.message["through" if kind == "ack" else "acknowledged"]
                )
            if kind == "welcome" and name in self._repeating:
                self._repeating.discard(name)
                for number, raw in sorted(told.raw.items()):
                    if number <= told.acknowledged:
                        self.met[What.REPEAT] += 1
                        ends.coordinator.write(raw)
            await self._wait(name)
            if not ends.holding:
                ends.agent.write(frame.raw)
                await _drained(ends.agent)

    def _note_said(self, name: str, ends: Ends, frame: Frame) -> None:
        message = frame.message
        if message.get("type") == "hello":
            ends.promises = self.promises[name, message["epoch"]]
        elif "seq" in message:
            ends.promises.raw[message["seq"]] = frame.raw
            if message["type"] == "reports":
                found = [(message["attempt"], report["resource"]) for report in message["reports"]]
                before = ends.promises.reports.setdefault(message["seq"], found)
                assert before == found, f"message {message['seq']} of {name} was another before"

    async def _wait(self, name: str) -> None:
        if (delay_s := self._delays[name]) > 0:
            self.met[What.DELAY] += 1
            await asyncio.sleep(delay_s)


async def _drained(writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        await writer.drain()
