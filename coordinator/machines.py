"""The coordinator's dealings with its provider: launches, takes up again, ends, and looks which machines there are."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

from clustertune.coordinator.core import commands as c
from clustertune.coordinator.core import events as e
from clustertune.coordinator.core.core import Core
from clustertune.coordinator.core.state import Instance
from clustertune.coordinator.furnishing import Furnishing
from clustertune.coordinator.places import Places
from clustertune.definition.cluster import ClusterDefinition
from clustertune.model.errors import ClustertuneError, ProviderError, ProviderFatal, ProviderTransient
from clustertune.model.messages import FromCoordinator, Leave
from clustertune.provisioner.contracts import Furnished, LaunchIntent, Outfit, Provider, Tell

T = TypeVar("T")

MOST_CALLS = 64
"""Calls to the provider at once: each may wait for a machine that is slow, and none may hold back another."""

_YOUNG_S = 1.0
"""A machine that was launched just now may not be known to its provider yet."""

_WORDS_CHARS = 500

log = logging.getLogger(__name__)


class Shell(Protocol):
    """What this asks of the coordinator."""

    core: Core
    cluster: ClusterDefinition
    places: Places

    def now(self) -> float: ...
    def handle(self, event: e.Happening) -> None: ...
    def agent_token(self, instance: str, epoch: int) -> str: ...
    def deliver(self, instance: str, message: FromCoordinator) -> None: ...


class Machines:
    """Every call to the provider is made in a thread of its own."""

    def __init__(self, shell: Shell, provider: Provider, furnishing: Furnishing) -> None:
        self._shell, self._provider, self._furnishing = shell, provider, furnishing
        self._closed = False
        self._ending = 0
        self._ended = asyncio.Event()
        self.doing: dict[str, str] = {}
        """What is being done to machines that are not ready yet."""
        self.unended: dict[str, str] = {}
        """Machines that could not be ended, and why."""
        self._pool = ThreadPoolExecutor(MOST_CALLS, thread_name_prefix="provider")

    def doing_in_words(self) -> str:
        """One line; of several machines what is being done to the first. Empty where nothing is."""
        found = next(iter(self.doing.items()), None)
        if found is None:
            return ""
        others = len(self.doing) - 1
        return f"{found[0]}: {found[1]}" + (
            f" (and {others} other machine{'s' if others > 1 else ''})" if others else ""
        )

    async def ask(self, call: Callable[[], T]) -> T:
        """Raises ProviderError."""
        if self._closed:
            raise ProviderTransient("the coordinator is ending")
        return await asyncio.get_running_loop().run_in_executor(self._pool, call)

    async def adopt(self) -> None:
        """The coordinator is back, and what an earlier one launched may be still there."""
        intents = [self._intent(i.id, i.epoch, Outfit()) for i in self._shell.core.state.instances.values()]
        try:
            await self.ask(lambda: self._provider.adopt(intents))
        except ProviderError as error:
            log.warning("the machines that were there before cannot be reached: %s", error)

    async def launch(self, command: c.Launch) -> None:
        try:
            outfit = await self._furnishing.for_launch()
            intent = self._intent(command.instance, command.epoch, outfit)
            tell = self._teller(command.instance)
            await self.ask(lambda: self._provider.launch(intent, tell))
        except ClustertuneError as error:
            retry = not isinstance(error, ProviderFatal)
            failed = e.LaunchFailed(instance=command.instance, epoch=command.epoch, error=str(error), retry=retry)
            self._shell.handle(failed)
        finally:
            self.doing.pop(command.instance, None)

    async def furnish(self, instance: str, outfit: Outfit) -> Furnished:
        """Raises ProviderError."""
        tell = self._teller(instance)
        try:
            return await self.ask(lambda: self._provider.furnish(instance, outfit, tell))
        finally:
            self.doing.pop(instance, None)

    def _teller(self, instance: str) -> Tell:
        """What is being done to the machine is remembered, until something else is."""
        loop = asyncio.get_running_loop()

        def tell(text: str) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(self.doing.__setitem__, instance, text)

        return tell

    def terminate(self, command: c.Terminate) -> Coroutine[Any, Any, None]:
        """Counted from now on, so that ``settled`` waits for it: what is returned ends the machine."""
        self._ending += 1
        return self._terminate(command)

    async def _terminate(self, command: c.Terminate) -> None:
        self._shell.deliver(command.instance, Leave(message=command.reason))
        self.unended.pop(command.instance, None)
        try:
            await self.ask(lambda: self._provider.terminate([command.instance]))
        except ProviderError as error:
            self.unended[command.instance] = str(error)
            log.error("%s could not be ended: %s", command.instance, error)
        finally:
            self._ending -= 1
            self._ended.set()

    async def settled(self) -> None:
        """Returns once no machine is being ended."""
        while self._ending:
            self._ended.clear()
            await self._ended.wait()

    async def end_all(self, instances: Sequence[str]) -> None:
        try:
            await self.ask(lambda: self._provider.terminate(instances))
        except ProviderError as error:
            log.error("machines could not be ended: %s", error)

    async def look(self) -> None:
        """Which machines are gone, as the provider knows; an agent that died is replaced at once."""
        try:
            found = {(x.instance, x.epoch) for x in await self.ask(self._provider.list)}
        except ProviderError as error:
            log.warning("the provider cannot say which machines there are: %s", error)
            return
        for instance in list(self._shell.core.state.instances.values()):
            young = self._shell.now() - instance.launched < _YOUNG_S
            if (instance.id, instance.epoch) not in found and not instance.connected and not young:
                await self._tell_gone(instance)

    async def _tell_gone(self, instance: Instance) -> None:
        words = await self.ask(lambda: self._provider.last_words(instance.id)) if instance.room is None else ""
        reason = "its agent is not running" + (f"; its last words: {words[-_WORDS_CHARS:]}" if words else "")
        self._shell.handle(e.InstanceVanished(instance=instance.id, epoch=instance.epoch, reason=reason))

    async def close(self) -> None:
        """Lets go of connections; what is still under way is not waited for."""
        self._closed = True
        await self._furnishing.close()
        await asyncio.to_thread(self._provider.close)
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _intent(self, instance: str, epoch: int, outfit: Outfit) -> LaunchIntent:
        return LaunchIntent(
            instance=instance,
            epoch=epoch,
            token=self._shell.agent_token(instance, epoch),
            agent_socket=self._shell.places.agent_socket(),
            files_socket=self._shell.places.files_socket(),
            slots=self._shell.cluster.slots,
            outfit=outfit,
        )
