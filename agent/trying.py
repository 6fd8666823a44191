"""How often to try again what failed, and how to do several things at once."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

_LOOK_S = 0.1

T = TypeVar("T")


class Pauses:
    """Between tries: each twice as long as the one before, up to a bound, and jittered so that not all come at once."""

    def __init__(self, first_s: float, longest_s: float, watched: Callable[[], object] | None = None) -> None:
        """Where what ``watched`` returns becomes another, there is a new reason to try: at once."""
        self._first_s, self._longest_s, self._watched = first_s, longest_s, watched
        self._next_s = first_s
        self._seen = watched() if watched else None

    def begin_anew(self) -> None:
        """Something succeeded."""
        self._next_s = self._first_s

    def take(self) -> float:
        """How long the next one is, in seconds."""
        delay_s, self._next_s = self._next_s, min(2 * self._next_s, self._longest_s)
        return delay_s * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, not a secret

    async def wait(self) -> None:
        if self._watched is None:
            await asyncio.sleep(self.take())
            return
        loop = asyncio.get_running_loop()
        until_s = loop.time() + self.take()
        # What was seen before the try that has failed: what changed during it is news, too.
        while (seen := self._watched()) == self._seen and (left_s := until_s - loop.time()) > 0:
            await asyncio.sleep(min(left_s, _LOOK_S))
        if seen != self._seen:
            self._seen = seen
            self.begin_anew()


async def do_each(items: Iterable[T], do: Callable[[T], Awaitable[None]], at_once: int) -> list[BaseException]:
    """Does all of ``items``, ``at_once`` at a time. After a failure no more are begun; those under way are waited for.

    What failed, in the order in which it did.
    """
    waiting, failures = deque(items), list[BaseException]()

    async def do_some() -> None:
        while waiting:
            try:
                await do(waiting.popleft())
            except BaseException as error:
                waiting.clear()
                failures.append(error)
                raise

    try:
        await asyncio.gather(*(do_some() for _ in range(min(at_once, len(waiting)))), return_exceptions=True)
    finally:
        waiting.clear()
    return failures
