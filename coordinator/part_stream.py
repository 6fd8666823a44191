"""Several parts in one body: each is a line ``DIGEST SIZE`` and then so many bytes. Those that are whole stay."""

from __future__ import annotations

from collections.abc import Callable

from clustertune.coordinator.storage.contracts import Receiver, WrongPart
from clustertune.model.checkpoint import is_digest

_MOST_HEAD_BYTES = 64 + 1 + 20
Begin = Callable[[str, int], Receiver]


class PartStream:
    """A receiver of a body, which is all parts one after another. ``begin`` makes the receiver of one, or raises."""

    def __init__(self, begin: Begin) -> None:
        self._begin = begin
        self._head = bytearray()
        self._part: Receiver | None = None
        self._left = 0

    def write(self, block: bytes) -> None:
        """Raises WrongPart for what is no such stream, and what the receivers of parts raise."""
        view = memoryview(block)
        while view:
            view = self._body(view) if self._part is not None else self._line(view)

    def finish(self) -> None:
        if self._part is not None or self._head:
            self.abandon()
            raise WrongPart("the body broke off within a part: send it again")

    def abandon(self) -> None:
        if self._part is not None:
            self._part.abandon()

    def _line(self, view: memoryview) -> memoryview:
        head, end, _ = bytes(view[: _MOST_HEAD_BYTES + 1]).partition(b"\n")
        self._head += head
        if len(self._head) > _MOST_HEAD_BYTES:
            raise WrongPart("a part begins with a line of its digest and its size")
        if end:
            digest, _, size = self._head.decode("ascii", "replace").partition(" ")
            if not is_digest(digest) or not (size.isascii() and size.isdecimal() and int(size)):
                raise WrongPart("a part begins with a line of its digest and its size")
            self._head.clear()
            self._part, self._left = self._begin(digest, int(size)), int(size)
        return view[len(head) + len(end) :]

    def _body(self, view: memoryview) -> memoryview:
        part, piece = self._part, view[: self._left]
        if part is not None:
            part.write(bytes(piece))
            self._left -= len(piece)
            if not self._left:
                part.finish()
                self._part = None
        return view[len(piece) :]
