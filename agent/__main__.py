"""``python -m clustertune.agent --folder FOLDER``, with the enrolment as JSON on standard input."""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import sys
from functools import partial
from pathlib import Path

from clustertune.agent.agent import Agent, ExitCode
from clustertune.agent.enrolment import Enrolment, read_enrolment
from clustertune.agent.folder import Folder, FolderTaken
from clustertune.agent.leftovers import Records
from clustertune.agent.reach import Reach
from clustertune.agent.sdk import copy_sdk
from clustertune.model.core_dumps import forbid_core_dumps
from clustertune.model.errors import Mistake

_log = logging.getLogger("clustertune.agent")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m clustertune.agent", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="this agent's own folder; kept between its runs")
    parser.add_argument("--reach", type=Path, help="a file that says where the coordinator is, once it is elsewhere")
    options = parser.parse_args()
    forbid_core_dumps()
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("websockets").setLevel(logging.WARNING)  # at its finest level it would write the token down
    try:
        enrolment = read_enrolment(sys.stdin.read())
        folder = Folder(options.folder)
    except (Mistake, FolderTaken, OSError) as error:
        _log.error("%s", error)
        return ExitCode.MISTAKE
    try:
        return asyncio.run(_run(enrolment, folder, options.reach))
    except OSError as error:
        _log.exception("the folder %s cannot be used: %s", folder.root, error)
        return ExitCode.MISTAKE
    finally:
        folder.close()


async def _run(enrolment: Enrolment, folder: Folder, reach: Path | None) -> ExitCode:
    records = Records(folder.processes)
    if killed := records.kill_all(folder.root):
        _log.warning("killed %d processes that an earlier agent left", killed)
    copy_sdk(folder.sdk)
    agent = Agent(enrolment, folder, records, Reach(enrolment, reach))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, partial(agent.leave, saving=True))
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a closed terminal or SSH session is not the end
    _log.info("instance %s, epoch %d", enrolment.instance, enrolment.epoch)
    return await agent.run()


if __name__ == "__main__":
    sys.exit(main())
