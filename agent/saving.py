"""When one attempt is asked for a checkpoint, and what becomes of those that it makes."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

from clustertune.agent.attempt_folders import CHECKPOINTS
from clustertune.agent.contents import Unreadable
from clustertune.agent.outbox import Outbox
from clustertune.agent.shelf import Kept, Shelf, whole_levels
from clustertune.agent.stopper import Halted
from clustertune.agent.untrusted import opened_folder, write_text
from clustertune.model.checkpoint import SavedKind
from clustertune.model.messages import Saved, Start

GO_ON = "go-on"
EXIT = "exit"

_SURE_NS = 1_000_000_000
"""A folder's time has the grain of the kernel's clock: two changes may share one. After so long, none can be new."""

_REPLACED = (
    "what was at CLUSTERTUNE_CHECKPOINTS is not the folder any more, but a link or a file, and is left alone: "
    "write checkpoints into the folder itself"
)


class Saving:
    """The files that program and agent speak through, in the attempt's folder."""

    def __init__(
        self, start: Start, folder: Path, shelf: Shelf, outbox: Outbox, tell: Callable[[], None],
        notice: Callable[[str], None],
    ) -> None:  # fmt: skip
        """``tell`` is called before and after something is put into the outbox."""
        self._attempt, self._policy = start.attempt, start.run.checkpoints
        self._checkpoints, self._save, self._result = saving_paths(folder)
        self._shelf, self._outbox, self._tell, self._notice = shelf, outbox, tell, notice
        self._loop = asyncio.get_running_loop()
        self._signal_leader: Callable[[int], None] | None = None
        self._wish = self._written = ""
        self._timer: asyncio.TimerHandle | None = None
        self._announcements: list[asyncio.Future[None]] = []
        self._seen_ns = 0
        self._signal = getattr(signal, self._policy.signal, None) if self._policy.signal else None
        self.saved_to_exit = False
        self.can_save = start.checkpoint is not None or self._signal is not None or self._policy.expected

    def begin(self, signal_leader: Callable[[int], None]) -> None:
        """The program runs."""
        self._signal_leader = signal_leader
        self._restart_timer()
        if self._wish:
            self._send_signal()

    def _restart_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._policy.every_s is not None:
            self._timer = self._loop.call_later(self._policy.every_s, self.want)

    def want(self) -> None:
        """A checkpoint, of a program that goes on."""
        if not self._wish:
            self._raise(GO_ON)

    def want_exit(self) -> None:
        """A checkpoint, and then the program's end."""
        self._raise(EXIT)

    def _raise(self, wish: str) -> None:
        self._wish = wish
        self._write_wish()
        self._send_signal()

    def _write_wish(self) -> None:
        """On a full disk it is tried again."""
        if self._wish == self._written:
            return
        fresh = self._save.with_name(".save")
        with suppress(OSError):
            if self._wish:
                write_text(fresh, self._wish)
                fresh.replace(self._save)
            else:
                self._save.unlink(missing_ok=True)
            self._written = self._wish

    def _send_signal(self) -> None:
        if self._signal is not None and self._signal_leader is not None:
            self._signal_leader(int(self._signal))

    def look(self, *, closely: bool = False) -> None:
        """Whether there is something whole. Cheap where nothing changed, unless to look ``closely``."""
        self._write_wish()
        try:
            changed_ns = self._checkpoints.lstat().st_mtime_ns
        except OSError:
            return  # not there yet, or not any more
        if closely or changed_ns != self._seen_ns or time.time_ns() - changed_ns < _SURE_NS:
            self._seen_ns = changed_ns
            self._collect()

    def _collect(self) -> None:
        try:
            with opened_folder(self._checkpoints) as folder:
                levels = whole_levels(folder)
                kept = self._take(levels, folder) if levels else None
        except FileNotFoundError:
            return  # the program has just removed the folder
        except OSError:
            self._notice(_REPLACED)
            return
        if kept is None:
            return
        if self._wish:
            self._announce(kept, wanted=True)
            self._restart_timer()
        self.saved_to_exit |= self._wish == EXIT
        if self._wish == GO_ON:
            self._wish = ""
            self._write_wish()

    def _take(self, levels: list[int], folder: int) -> Kept | None:
        for level in levels[:-1]:
            self._shelf.throw_away(str(level), folder)
        self.can_save = True
        try:
            return self._place(SavedKind.CHECKPOINT, levels[-1], str(levels[-1]), folder)
        except OSError as error:
            # The program may have just taken it away, to save the same level anew, and will tell: no trouble.
            if not isinstance(error, FileNotFoundError) or error.filename2 is None:
                self._notice(f"the checkpoint at {levels[-1]} cannot be kept: {error.strerror}")
            return None

    def _place(self, kind: SavedKind, level: int, source: str, within: int) -> Kept:
        return self._shelf.place(self._attempt, kind, level, source, within, self._policy.bandwidth_bytes_s)

    def _announce(self, kept: Kept, *, wanted: bool) -> None:
        kept.announced = True
        future = asyncio.ensure_future(announce(kept, self._shelf, self._outbox, self._tell, self._notice, wanted))
        self._announcements.append(future)

    async def finish(self, last_level: int, *, wanted: bool) -> None:
        """The program is gone: tells of the last that it made, where nobody was told yet, and of its result."""
        if self._timer is not None:
            self._timer.cancel()
        self.look(closely=True)
        if (last := self._shelf.unannounced(self._attempt, SavedKind.CHECKPOINT)) is not None:
            self._announce(last, wanted=wanted)
        if self._result.is_dir() and not self._result.is_symlink():
            with suppress(OSError), opened_folder(self._result.parent) as folder:
                self._announce(self._place(SavedKind.RESULT, last_level, self._result.name, folder), wanted=False)
        await asyncio.gather(*self._announcements)


def saving_paths(folder: Path) -> tuple[Path, Path, Path]:
    """In an attempt's folder: where checkpoints come to be, the request for one, and the result."""
    return folder / CHECKPOINTS, folder / "save", folder / "result"


def checkpoint_path(folder: Path) -> Path:
    """In an attempt's folder: the copy that it goes on from."""
    return folder / "checkpoint"


async def announce(
    kept: Kept, shelf: Shelf, outbox: Outbox, tell: Callable[[], None], notice: Callable[[str], None], wanted: bool
) -> None:
    """Reads it, and says what is there to be stored."""
    try:
        notices = await shelf.read(kept)
    except Halted:
        return
    except Unreadable as error:
        notice(f"the {kept.kind.value} at {kept.resource} is lost: {error}")
        shelf.drop(kept)
        return
    for each in notices:
        notice(each)
    tell()  # reports that were made before it go before it
    saved = partial(Saved, resource=kept.resource, digest=kept.digest, size_bytes=kept.manifest.size_bytes)
    outbox.append(partial(saved, attempt=kept.attempt, kind=kept.kind, wanted=wanted))
    tell()
    await shelf.seal(kept)
