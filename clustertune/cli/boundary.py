"""Where errors end: a message that a person can act upon, and an exit code. Never a traceback on the screen."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import typer

from clustertune.model.errors import ClustertuneError, DefinitionMistake, Mistake, ProviderError

FAILED = 1
MISTAKE = 2
PROVIDER_REFUSED = 3
BUG = 70
INTERRUPTED = 130
BROKEN_PIPE = 141  # what a shell reports for a program that SIGPIPE ended


def guarded(command: Callable[..., None]) -> Callable[..., None]:
    """The same command, ending with an exit code whatever happens in it."""

    @functools.wraps(command)
    def run(**arguments: object) -> None:
        _never_fail_to_print()
        try:
            command(**arguments)
            sys.stdout.flush()
        except typer.Exit:
            raise
        except KeyboardInterrupt:
            _complain("interrupted")
            raise typer.Exit(INTERRUPTED) from None
        except BrokenPipeError:
            # What reads our output has gone (`| head`).
            _forget_output()
            raise typer.Exit(BROKEN_PIPE) from None
        except ClustertuneError as error:
            _complain(str(error) if isinstance(error, DefinitionMistake) else f"error: {error}")
            raise typer.Exit(exit_code(error)) from None
        except OSError as error:
            # The machine's doing: a full disk, a file that may not be read.
            _complain(f"error: {(error.filename is None and _output_trouble()) or error}")
            raise typer.Exit(FAILED) from None
        except Exception as error:  # noqa: BLE001 - the outermost boundary: a bug becomes a report on disk
            _complain(_bug(error))
            raise typer.Exit(BUG) from None

    return run


def exit_code(error: ClustertuneError) -> int:
    if isinstance(error, Mistake):
        return MISTAKE
    return PROVIDER_REFUSED if isinstance(error, ProviderError) else FAILED


def _complain(text: str) -> None:
    with contextlib.suppress(OSError):  # nobody can read it
        print(text, file=sys.stderr, flush=True)


def _output_trouble() -> str | None:
    """What keeps standard output from being written; None where nothing does."""
    try:
        # The text that failed is gone from the buffer: only another try tells. A blank line more harms nobody.
        print(flush=True)
    except OSError as error:
        _forget_output()
        return f"standard output cannot be written: {error.strerror}"
    return None


def _forget_output() -> None:
    """Python would complain once more when it flushes at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _bug(error: Exception) -> str:
    report = "".join(traceback.format_exception(error))
    said = f"{type(error).__name__}: {error}"
    where = _write_down(report)
    if where is None:
        return f"this is a bug in clustertune: {said}\n{report}"
    return f"this is a bug in clustertune: {said}\nthe full traceback is in {where}; please report it"


def _write_down(report: str) -> Path | None:
    from clustertune.client.home import Home

    name = f"bug-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.txt"
    for folder in (Home.from_environment().path, Path(tempfile.gettempdir())):
        try:
            path = folder / name
            with open(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="utf-8") as file:
                file.write(f"{sys.argv}\n{report}")
        except OSError:
            continue
        return path
    return None


def _never_fail_to_print() -> None:
    """A terminal that cannot show a character gets a question mark and not a traceback."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")
