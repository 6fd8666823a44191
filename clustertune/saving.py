"""How a program saves: a folder that is whole once it has its name. Loaded at the first use, for what it imports."""

from __future__ import annotations

import errno
import itertools
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from clustertune import group
from clustertune.channel import Channel, in_group, is_silent

_NEXT_TO_NO_SPACE_BYTES = 1024 * 1024
_FULL = (errno.ENOSPC, errno.EDQUOT)
_CAUSES = 10
_ENDS = "this trial is to end now that it has saved"

_numbers = itertools.count()


@dataclass(frozen=True)
class Checkpoint:
    """What to go on from: a folder, which is this attempt's own to read, and the level that it was saved at."""

    path: Path
    resource: int


def latest() -> Checkpoint | None:
    path = os.environ.get("CLUSTERTUNE_CHECKPOINT")
    return Checkpoint(Path(path), int(os.environ["CLUSTERTUNE_CHECKPOINT_LEVEL"])) if path else None


def save_request() -> tuple[int, int] | None:
    """Tells one request for a checkpoint from the next; None where none is wanted."""
    try:
        found = os.stat(os.environ["CLUSTERTUNE_SAVE"])  # noqa: PTH116 - asked at every step: a path costs more
    except (KeyError, OSError):
        return None
    return found.st_ino, found.st_mtime_ns


def new_checkpoint(level: int, channel: Channel, stopped: type[BaseException]) -> AbstractContextManager[Path]:
    """A folder to fill. Where the trial is to end once it has saved, ``stopped`` is raised at the end."""
    folder = Path(os.environ.get("CLUSTERTUNE_CHECKPOINTS", "checkpoints")).absolute()
    if "CLUSTERTUNE_CHECKPOINTS" not in os.environ:
        return _without_agent(folder, level, channel)
    if not in_group():
        return _alone(folder, level, channel, stopped)
    return (_beside_rank_0 if is_silent() else _for_the_group)(folder, level, channel, stopped)


@contextmanager
def _without_agent(folder: Path, level: int, channel: Channel) -> Iterator[Path]:
    with _whole(folder / str(level), channel, f"no checkpoint at {level}") as (path, outcome):
        yield path
    if outcome:
        _keep_only(folder, level)


@contextmanager
def _alone(folder: Path, level: int, channel: Channel, stopped: type[BaseException]) -> Iterator[Path]:
    with _whole(folder / str(level), channel, f"no checkpoint at {level}") as (path, outcome):
        yield path
    channel.answered_save, wish = save_request(), _wish()  # also what came meanwhile
    if outcome:
        channel.tell({"checkpoint": level})
        if wish == "exit":
            raise stopped(_ENDS)


@contextmanager
def _for_the_group(folder: Path, level: int, channel: Channel, stopped: type[BaseException]) -> Iterator[Path]:
    """Rank 0: what is wanted when it begins holds for all, whatever comes meanwhile."""
    request, wish = save_request(), _wish()
    group.decide(folder, level, wish)
    with _whole(folder / str(level), channel, f"no checkpoint at {level}") as (path, outcome):
        yield path
    channel.answered_save = request
    if outcome:
        channel.tell({"checkpoint": level})
    group.leave(folder, level, wish)
    if wish == "exit":  # saved or not: the others end in any case, and without them rank 0 cannot go on
        raise stopped(_ENDS)


@contextmanager
def _beside_rank_0(folder: Path, level: int, channel: Channel, stopped: type[BaseException]) -> Iterator[Path]:
    with _whole(folder / str(level), channel, "") as (path, _):
        yield path
    if group.is_to_exit(folder, level):
        raise stopped(_ENDS)


@contextmanager
def new_result(channel: Channel) -> Iterator[Path]:
    final = Path(os.environ.get("CLUSTERTUNE_RESULT", "result")).absolute()
    with _whole(final, channel, "no result") as (path, _):
        yield path


@contextmanager
def _whole(final: Path, channel: Channel, failure: str) -> Iterator[tuple[Path, list[Path]]]:
    """A folder to fill, and a list with ``final`` in it once it is in its place.

    Whatever is raised inside leaves nothing behind, and goes on; but a full disk is told, and the trial goes on.
    """
    part, outcome = _part_of(final), list[Path]()
    _make(part)
    if is_silent():
        yield part, outcome
        return
    try:
        yield part, outcome
        _put_in_place(part, final)
        outcome.append(final)
    except Exception as error:
        full = _is_of_no_space(error, final.parent)
        shutil.rmtree(part, ignore_errors=True)
        if not full:
            raise
        _tell(channel, f"{failure}: no space left on the disk of {final.parent}; the trial goes on")
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def _part_of(final: Path) -> Path:
    """All processes of a group fill one folder; else threads and processes that save at once have one each."""
    if in_group():
        return final.with_name(f".part-{final.name}")
    return final.with_name(f".part-{final.name}-{os.getpid()}-{next(_numbers)}")


def _make(part: Path) -> None:
    """Where the disk is full even for this, what the program then writes there fails, and tells it."""
    try:
        part.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if error.errno not in _FULL:
            raise


def _put_in_place(part: Path, final: Path) -> None:
    """What has the name already gives way to the newer."""
    while True:
        try:
            part.rename(final)
            break
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                raise
        _clear(final)
    directory = os.open(final.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _clear(final: Path) -> None:
    aside = final.with_name(f".part-old-{os.getpid()}-{threading.get_ident()}-{next(_numbers)}")
    with suppress(FileNotFoundError):  # the agent has just taken it
        final.rename(aside)
    if aside.is_dir():
        shutil.rmtree(aside, ignore_errors=True)
    else:
        aside.unlink(missing_ok=True)


def _is_of_no_space(error: BaseException, folder: Path) -> bool:
    """Libraries hide the cause (torch raises RuntimeError), but not that nothing more fits on the disk."""
    cause: BaseException | None = error
    for _ in range(_CAUSES):
        if isinstance(cause, OSError) and cause.errno in _FULL:
            return True
        cause = None if cause is None else cause.__cause__ or cause.__context__
    with suppress(OSError):
        found = os.statvfs(folder)
        return found.f_bavail * found.f_frsize < _NEXT_TO_NO_SPACE_BYTES
    return False


def _tell(channel: Channel, notice: str) -> None:
    if "CLUSTERTUNE_SOCKET" in os.environ:
        channel.tell({"notice": notice})
    else:
        print(notice, flush=True)


def _wish() -> str:
    try:
        return Path(os.environ["CLUSTERTUNE_SAVE"]).read_text(encoding="utf-8").strip()
    except (KeyError, OSError):
        return ""


def _keep_only(folder: Path, level: int) -> None:
    for path in folder.iterdir():
        if path.name.isdigit() and path.name != str(level):
            shutil.rmtree(path, ignore_errors=True)
