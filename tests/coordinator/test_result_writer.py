"""When result files are written, and when there is no need to."""

from __future__ import annotations

import asyncio
from pathlib import Path

from clustertune.model.messages import Ended, Reports
from clustertune.model.trial import Ending, EndReason, Report
from tests.coordinator.house import house


async def run_one_trial(folder: Path) -> None:
    async with house(folder) as built:
        await built.submit(trials=1)
        async with built.agent(await built.launched()) as agent:
            await agent.send(Reports(1, "digits:0:1", (Report(1, {"error": 0.5}),)))
            await agent.send(Ended(2, "digits:0:1", Ending(reason=EndReason.RETURNED)))
            async with asyncio.timeout(10):
                while not built.coordinator.core.state.experiments["digits"].state.ended:
                    await asyncio.sleep(0.01)
            await built.answers.snapshot("digits")


def test_the_files_of_an_experiment_that_ended_are_not_written_anew_by_the_next_coordinator(tmp_path: Path) -> None:
    asyncio.run(run_one_trial(tmp_path))
    path = next(tmp_path.glob("clusters/*/experiments/digits")) / "reports.csv"
    assert "0.5" in path.read_text()
    path.write_text("mine\n")

    async def again(text: str) -> None:
        async with house(tmp_path) as built:
            await built.answers.snapshot("digits")
            assert path.read_text() == text

    asyncio.run(again("mine\n"))
    (path.parent / "results.json").write_text("[]")
    asyncio.run(again("trial,attempt,resource,error\n0,1,1,0.5\n"))
    path.write_text("mine\n")
    (path.parent / "results.json").unlink()
    asyncio.run(again("trial,attempt,resource,error\n0,1,1,0.5\n"))
