"""The verb ``reach``: writes down where the agent finds the coordinator from now on."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from clustertune.agent.given import read_object, text
from clustertune.agent.root import Hindered, Root
from clustertune.agent.sockets import remove_other_sockets, sockets_folder


def answer(root: Root, given: BinaryIO) -> dict[str, object]:
    """Takes ``epoch``, ``socket`` and ``files``. Raises Hindered, OSError."""
    plain = read_object(given)
    epoch, socket, files = plain.get("epoch"), text(plain, "socket"), text(plain, "files", "")
    if not isinstance(epoch, int) or isinstance(epoch, bool):
        raise Hindered(f"epoch must be an integer, found {type(epoch).__name__}")
    for path in filter(None, (socket, files)):
        if not Path(path).is_absolute():
            raise Hindered(f"a socket is named by its absolute path, found {path[:200]!r}")
    sockets_folder(root)
    with root.locked("reach"):
        root.write(root.reach.name, {"epoch": epoch, "socket": socket, "files": files})
        remove_other_sockets(root, {Path(socket), Path(files)})
    return {}
