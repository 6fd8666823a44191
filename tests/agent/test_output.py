"""Who writes into a full pipe waits, and that is seen."""

from __future__ import annotations

import asyncio
import os

from clustertune.agent.log_file import LogFile
from clustertune.agent.output import Output
from clustertune.agent.redaction import Redactor


def held_up(tmp_path, written):
    """What is found where so much was written while nobody read."""

    async def main():
        read_end, write_end = os.pipe()
        lines = []
        output = Output(read_end, asyncio.get_running_loop(), LogFile(tmp_path / "log"), Redactor([]), lines.extend)
        output.pause()
        os.write(write_end, b"x" * written)
        output.resume()
        os.close(write_end)
        await output.drain(1.0, whole=True)
        assert sum(map(len, lines)) == written
        return output.held_up

    return asyncio.run(main())


def test_a_full_pipe_means_that_the_program_waited(tmp_path):
    assert held_up(tmp_path, 64 * 1024)


def test_a_pipe_with_room_does_not(tmp_path):
    assert not held_up(tmp_path, 60 * 1024)
