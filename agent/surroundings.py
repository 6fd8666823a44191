"""What all attempts of an agent share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from clustertune.agent.attempt_folders import AttemptFolders
from clustertune.agent.fetching import Fetcher
from clustertune.agent.folder import Folder
from clustertune.agent.nursery import Nursery
from clustertune.agent.outbox import Outbox
from clustertune.agent.provenance import Describer
from clustertune.agent.report_server import ReportServer
from clustertune.agent.shelf import Shelf


@dataclass(frozen=True)
class Surroundings:
    """``wake`` is called when the outbox has something to send."""

    folder: Folder
    folders: AttemptFolders
    outbox: Outbox
    nursery: Nursery
    server: ReportServer
    shelf: Shelf
    fetcher: Fetcher
    describer: Describer
    wake: Callable[[], None]
    machine_has_gpus: bool
