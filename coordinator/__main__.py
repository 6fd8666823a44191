"""The coordinator's process: ``python -m clustertune.coordinator --home HOME --cluster NAME``.

Exit codes: 0 it was idle or told to end; 4 another coordinator has the cluster; 5 the journal is damaged; 6 the disk is
full; 1 anything else, with the reason in its log.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import errno
import hashlib
import json
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import uvicorn

from clustertune.coordinator import files_server
from clustertune.coordinator.coordinator import Coordinator
from clustertune.coordinator.core.fleet import LOST_AFTER_S
from clustertune.coordinator.http_server import HttpServer
from clustertune.coordinator.journal import Journal
from clustertune.coordinator.places import AlreadyRunning, Places
from clustertune.coordinator.server import create_app
from clustertune.definition.cluster import ClusterDefinition
from clustertune.model.clock import Clock, SystemClock
from clustertune.model.core_dumps import forbid_core_dumps
from clustertune.model.errors import ClustertuneError, JournalDamaged, JournalFull
from clustertune.model.messages import PROTOCOL
from clustertune.model.version import VERSION
from clustertune.provisioner.contracts import Provider, ProviderSetting
from clustertune.provisioner.registry import make_provider
from clustertune.search.registry import Registry

_MARK_CHARS = 8

log = logging.getLogger("clustertune.coordinator")


async def serve(
    places: Places,
    *,
    registry: Registry | None = None,
    instances: Sequence[str] = (),
    clock: Clock | None = None,
    lost_after_s: float = LOST_AFTER_S,
    make: Callable[[str, ProviderSetting], Provider] = make_provider,
) -> None:
    """Runs until idle, told to end, or unable to go on.

    ``instances``: the names of the machines; by default those of the provider. ``make`` makes the provider by its name.
    """
    definition = _definition(places)
    journal = Journal(places.journal, new=not places.has_history())
    registry = registry or Registry.default()
    coordinator = Coordinator(
        places=places,
        cluster=definition,
        algorithms=registry,
        provider=make(definition.provider, _setting(places, definition)),
        journal=journal,
        clock=clock or SystemClock(),
        instances=instances,
        lost_after_s=lost_after_s,
    )
    coordinator.recover()
    ending = asyncio.Event()
    stop_agents = False

    def shutdown(agents_too: bool) -> None:
        nonlocal stop_agents
        stop_agents = agents_too
        ending.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ending.set)
    agents = await coordinator.link.listen(places.agent_socket())
    files = await files_server.serve(places.files_socket(), coordinator.depot)
    await coordinator.begin()
    app = create_app(coordinator, registry=registry, token=places.token(), shutdown=shutdown)
    listener = socket.create_server(("127.0.0.1", 0))
    server = HttpServer(uvicorn.Config(app, log_level="warning", access_log=False, lifespan="off", log_config=None))
    running = [
        asyncio.create_task(server.serve(sockets=[listener])),
        asyncio.create_task(coordinator.run()),
        asyncio.create_task(_idle(coordinator, ending)),
    ]
    places.announce(
        pid=os.getpid(),
        port=listener.getsockname()[1],
        version=VERSION,
        protocol=PROTOCOL,
        started=coordinator.now(),
    )
    log.info("cluster %s: listening on port %s", places.cluster, listener.getsockname()[1])
    try:
        await _first(ending, coordinator.fatal, running)
    finally:
        places.withdraw()
        server.should_exit = True
        if coordinator.fatal.done():
            coordinator.fatal.exception()
            await coordinator.abandon()
        else:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(30):
                    await coordinator.leave(stop_agents=stop_agents)
        for task in running[1:]:
            task.cancel()
        await coordinator.machines.close()
        agents.close(close_connections=True)
        await files.close()
        await asyncio.wait(running, timeout=5)
        journal.close()
        places.agent_socket().unlink(missing_ok=True)


async def _first(ending: asyncio.Event, fatal: asyncio.Future[None], running: list[asyncio.Task[None]]) -> None:
    told = asyncio.create_task(ending.wait())
    waited: list[asyncio.Future[Any]] = [told, fatal, *running]
    done, _ = await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
    told.cancel()
    for finished in done:
        if finished is not told:
            finished.result()


async def _idle(coordinator: Coordinator, ending: asyncio.Event) -> None:
    patience_s = coordinator.cluster.idle_timeout_s
    while coordinator.idle_s() < patience_s:
        await asyncio.sleep(min(1.0, patience_s / 4))
    log.info("nothing runs and nobody asks: leaving")
    ending.set()
    await asyncio.Event().wait()


def _setting(places: Places, definition: ClusterDefinition) -> ProviderSetting:
    mark = hashlib.sha256(places.launch_secret().encode()).hexdigest()[:_MARK_CHARS]
    return ProviderSetting(cluster=definition.name, folder=places.instances, mark=mark, options=definition.options)


def _definition(places: Places) -> ClusterDefinition:
    if not places.definition.exists():
        return ClusterDefinition.from_plain({"name": places.cluster, "provider": "local"})
    return ClusterDefinition.from_plain(json.loads(places.definition.read_text()))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m clustertune.coordinator", description=__doc__)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--cluster", required=True)
    arguments = parser.parse_args()
    forbid_core_dumps()
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.INFO)
    for talkative in ("asyncssh", "websockets"):  # they would tell of every command, channel and connection
        logging.getLogger(talkative).setLevel(logging.WARNING)
    places = Places(arguments.home.absolute(), arguments.cluster)
    try:
        places.prepare()
        with places.lock():
            asyncio.run(serve(places))
    except AlreadyRunning as error:
        log.info("%s", error)
        return 4
    except JournalDamaged as error:
        log.error("%s", error)
        return 5
    except JournalFull as error:
        log.error("%s", error)
        return 6
    except (ClustertuneError, OSError) as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            log.error("the disk of %s is full: free some space there, and everything goes on", places.folder)
            return 6
        log.error("%s: %s", type(error).__name__, error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
