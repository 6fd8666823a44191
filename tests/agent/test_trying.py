"""Trying again, and doing several things at once."""

from __future__ import annotations

import asyncio

import pytest

from clustertune.agent.trying import Pauses, do_each


def test_pauses_double_up_to_a_bound_and_begin_anew() -> None:
    pauses = Pauses(1.0, 3.0)
    taken = [pauses.take() for _ in range(3)]
    pauses.begin_anew()
    taken.append(pauses.take())
    assert all(most / 2 <= found <= most for found, most in zip(taken, (1.0, 2.0, 3.0, 1.0), strict=True))


def test_so_many_at_once_and_each_once() -> None:
    done: list[int] = []
    under_way = most = 0

    async def do(item: int) -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0)
        under_way -= 1
        done.append(item)

    assert asyncio.run(do_each(range(10), do, 3)) == []
    assert sorted(done) == list(range(10))
    assert most == 3


def test_after_a_failure_no_more_are_begun_and_those_under_way_end() -> None:
    done: list[int] = []

    async def do(item: int) -> None:
        for _ in range(item):
            await asyncio.sleep(0)
        if item in (1, 2):
            raise ValueError(str(item))
        for _ in range(10):
            await asyncio.sleep(0)
        done.append(item)

    failures = asyncio.run(do_each(range(10), do, 3))
    assert [str(failure) for failure in failures] == ["1", "2"]
    assert done == [0]


def test_a_cancellation_ends_all_of_them() -> None:
    begun: list[int] = []

    async def do(item: int) -> None:
        begun.append(item)
        await asyncio.Event().wait()

    async def scenario() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await do_each(range(10), do, 2)

    asyncio.run(scenario())
    assert begun == [0, 1]


def test_a_pause_is_cut_short_by_what_is_watched_also_where_it_changed_during_the_try() -> None:
    async def main() -> list[float]:
        seen = ["here"]
        pauses = Pauses(600.0, 600.0, lambda: seen[0])
        seen[0] = "there"
        await asyncio.wait_for(pauses.wait(), 20)
        asyncio.get_running_loop().call_later(0.05, seen.__setitem__, 0, "elsewhere")
        await asyncio.wait_for(pauses.wait(), 20)
        return [pauses.take()]

    (taken,) = asyncio.run(main())
    assert 300 <= taken <= 600


def test_a_pause_ends_by_itself_where_nothing_changes() -> None:
    async def main() -> None:
        await asyncio.wait_for(Pauses(0.05, 0.05, lambda: "here").wait(), 20)

    asyncio.run(main())
