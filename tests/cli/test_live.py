"""The live view in a real terminal."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator

import pytest

from tests.cli.conftest import SLOW, Cli
from tests.conftest import TestHome

LIMIT_S = 30.0


class Terminal:
    """A tmux session of its own."""

    def __init__(self, home: TestHome, folder: str, columns: int, rows: int) -> None:
        tmux = shutil.which("tmux")
        assert tmux is not None, "these tests need tmux"
        self._tmux = [tmux, "-L", f"ct-{uuid.uuid4().hex[:8]}", "-f", "/dev/null"]
        size = ["-x", str(columns), "-y", str(rows)]
        environment = ["-e", f"CLUSTERTUNE_HOME={home.path}", "-e", "PS1=$ ", "-e", "ENV="]
        self._run("new-session", "-d", *size, *environment, "-c", folder, "sh")

    def type(self, *keys: str) -> None:
        self._run("send-keys", *keys)

    def resize(self, columns: int, rows: int) -> None:
        self._run("resize-window", "-x", str(columns), "-y", str(rows))

    def screen(self) -> str:
        return self._run("capture-pane", "-p")

    def wait_for(self, *texts: str) -> str:
        deadline = time.monotonic() + LIMIT_S
        while not all(text in (shown := self.screen()) for text in texts):
            assert time.monotonic() < deadline, f"{texts} did not appear:\n{shown}"
            time.sleep(0.05)
        return shown

    def close(self) -> None:
        self._run("kill-server")

    def _run(self, *arguments: str) -> str:
        return subprocess.run([*self._tmux, *arguments], capture_output=True, text=True, check=True).stdout


@pytest.fixture
def terminal(home: TestHome, cli: Cli) -> Iterator[Terminal]:
    session = Terminal(home, str(cli.folder), 80, 24)
    yield session
    session.close()


def command(*arguments: str) -> str:
    return shlex.join([sys.executable, "-m", "clustertune.cli", *arguments])


def test_the_view_fills_resizes_and_leaves_the_terminal_as_it_was(cli: Cli, terminal: Terminal) -> None:
    terminal.type("echo before", "Enter")
    terminal.type(command("tune", cli.experiment(SLOW)), "Enter")
    shown = terminal.wait_for("trying  running", "best loss", "Ctrl-C pauses the experiment")
    assert "before" not in shown
    terminal.resize(50, 12)
    narrow = terminal.wait_for("trying  running", "Ctrl-C pauses the experiment")
    assert all(len(line) <= 50 for line in narrow.splitlines())
    terminal.resize(100, 40)
    terminal.wait_for("fifo  random", "Ctrl-C pauses the experiment")
    terminal.type("C-c")
    ended = terminal.wait_for("trying is paused", "resume trying", "echo before")
    assert "Ctrl-C pauses" not in ended


def test_watch_leaves_without_pausing(cli: Cli, terminal: Terminal, home: TestHome) -> None:
    cli("tune", cli.experiment(SLOW), "--detach")
    terminal.type(command("watch"), "Enter")
    terminal.wait_for("trying  running", "Ctrl-C leaves; the experiment goes on")
    terminal.type("C-c")
    terminal.wait_for("trying runs after", "watch trying")
    with home.connect() as coordinator:
        assert coordinator.experiment("trying").state.value == "running"
        coordinator.stop("trying")
