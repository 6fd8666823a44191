"""One spawner process, told directly what to start."""

from __future__ import annotations

import asyncio
import os
import sys

import pytest

from clustertune.agent.leftovers import Records
from clustertune.agent.sdk import copy_sdk
from clustertune.agent.spawner_link import CannotStart, SpawnerLink

NO_DESCRIPTOR = 1_000_000


@pytest.fixture
def with_spawner(tmp_path):
    def run(scenario):
        async def main():
            copy_sdk(tmp_path / "sdk")
            (tmp_path / "processes").mkdir()
            environment = {**os.environ, "PYTHONPATH": str(tmp_path / "sdk")}
            spawner = SpawnerLink(sys.executable, environment, tmp_path / "sdk", {}, Records(tmp_path / "processes"))
            try:
                await asyncio.wait_for(spawner.ready, 20)
                await asyncio.wait_for(scenario(spawner), 20)
            finally:
                spawner.close()
                await asyncio.wait_for(spawner.ended.wait(), 20)

        asyncio.run(main())

    return run


def order(attempt, tmp_path):
    argv = ["/bin/sh", "-c", "echo written"]
    return {"attempt": attempt, "argv": argv, "program": argv[0], "workdir": str(tmp_path), "environment": {}}


@pytest.mark.parametrize("before", [0, 300])
def test_an_order_that_cannot_be_sent_fails_with_words_and_stands_in_nobodys_way(with_spawner, tmp_path, before):
    async def scenario(spawner):
        good = [os.open(os.devnull, os.O_WRONLY) for _ in range(before)]
        read_end, write_end = os.pipe()
        bad = asyncio.ensure_future(spawner.start(order("a:1:1", tmp_path), *good, NO_DESCRIPTOR))
        child = await spawner.start(order("a:2:1", tmp_path), write_end)
        assert (await child.exited).code == 0
        with open(read_end) as file:
            assert file.read() == "written\n"
        with pytest.raises(CannotStart, match="cannot be handed over: Bad file descriptor"):
            await bad
        assert spawner.children == {}

    with_spawner(scenario)
