"""A coordinator with two agents on this machine: ``python -m tests.scenarios.two_machines HOME``."""

from __future__ import annotations

import asyncio
import logging
import sys
from pathlib import Path

from clustertune.coordinator.__main__ import serve
from clustertune.coordinator.places import Places
from tests.coordinator.core.world import REGISTRY

INSTANCES = ("local-0", "local-1")

if __name__ == "__main__":
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.INFO)
    places = Places(Path(sys.argv[1]), "local")
    places.prepare()
    with places.lock():
        asyncio.run(serve(places, registry=REGISTRY, instances=INSTANCES))
