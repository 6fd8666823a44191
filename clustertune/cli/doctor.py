"""What `clustertune doctor` looks at."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import sqlite3
import stat
import sys
from collections.abc import Callable, Iterator

from rich.text import Text

from clustertune import __version__
from clustertune.cli.finding import Finding
from clustertune.cli.journal_check import examine_journal
from clustertune.cli.printing import print_json, show
from clustertune.client.home import DEFAULT_CLUSTER, ClusterFolder, Home
from clustertune.client.nearby import running
from clustertune.model.errors import ClustertuneError
from clustertune.model.units import format_bytes

LITTLE_DISK_BYTES = 2 * 2**30
HARDLY_ANY_DISK_BYTES = 200 * 2**20
LONGEST_SOCKET_PATH = 100  # Linux takes 107 bytes, macOS 103
SOCKET_NAME = "agent.sock"


def examine() -> list[Finding]:
    home = Home.from_environment()
    checks: tuple[Callable[[Home], Iterator[Finding]], ...] = (
        _python, _machine, _folder, _free_disk, _socket_paths, _forking, _coordinators, _leftovers, _optional_parts,
    )  # fmt: skip
    return [finding for check in checks for finding in check(home)]


def print_findings(findings: list[Finding], *, as_json: bool) -> None:
    if as_json:
        print_json(findings)
        return
    styles = {"ok": "green", "info": "cyan", "warn": "yellow", "fail": "bold red"}
    for finding in findings:
        line = Text(f"{finding.level:<5}", style=styles[finding.level]).append(finding.what, "default not bold")
        show(line.append(f"\n     -> {finding.remedy}", "default not bold") if finding.remedy else line)


def _python(_home: Home) -> Iterator[Finding]:
    found = f"clustertune {__version__}, Python {platform.python_version()} at {sys.executable}"
    yield Finding("ok", f"{found}, SQLite {sqlite3.sqlite_version}")


def _machine(_home: Home) -> Iterator[Finding]:
    from clustertune.agent.inventory import take_inventory

    has = take_inventory()
    gpus = ", ".join(f"{gpu.name} ({format_bytes(gpu.memory_bytes)})" for gpu in has.gpus) or "no GPU"
    yield Finding("ok", f"this machine: {has.cpus:g} CPUs, {format_bytes(has.memory_bytes)} memory, {gpus}")


def _folder(home: Home) -> Iterator[Finding]:
    path = home.path
    if trouble := home.problem():
        yield Finding("fail", trouble, "put that right, or set CLUSTERTUNE_HOME to another folder")
        return
    if not path.exists():
        yield Finding("ok", f"{path} will be made when it is first needed")
        return
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        yield Finding("warn", f"{path} is open to other users (mode {mode:04o})", f"chmod 700 {path}")
    else:
        yield Finding("ok", f"{path} is writable and closed to other users")


def _free_disk(home: Home) -> Iterator[Finding]:
    there = next(part for part in (home.path, *home.path.parents) if part.exists())
    free = shutil.disk_usage(there).free
    what = f"{format_bytes(free)} free on the disk of {there}"
    if free < HARDLY_ANY_DISK_BYTES:
        yield Finding("fail", what, "free some space: the journal must be able to grow")
    elif free < LITTLE_DISK_BYTES:
        yield Finding("warn", what, "the journal and the logs may fill it")
    else:
        yield Finding("ok", what)


def _socket_paths(home: Home) -> Iterator[Finding]:
    for folder in home.clusters() or (home.cluster(DEFAULT_CLUSTER),):
        length = len(os.fsencode(folder.path / SOCKET_NAME))
        if length > LONGEST_SOCKET_PATH:
            remedy = "sockets go to the temporary folder then; a shorter CLUSTERTUNE_HOME avoids that"
            yield Finding("warn", f"paths of sockets in {folder.path} are too long ({length} bytes)", remedy)


def _forking(_home: Home) -> Iterator[Finding]:
    if sys.platform == "darwin":
        yield Finding("ok", "trials start as fresh processes: forking is not safe on macOS")
    elif hasattr(os, "fork"):
        yield Finding("ok", "callables can be forked from a warm parent")
    else:
        yield Finding("fail", "this system cannot fork", "use Linux, macOS, or Windows' subsystem for Linux")


def _coordinators(home: Home) -> Iterator[Finding]:
    for folder in home.clusters():
        yield _coordinator(folder)
        yield from examine_journal(folder)


def _coordinator(folder: ClusterFolder) -> Finding:
    label = f"coordinator of cluster {folder.name!r}"
    try:
        coordinator = running(folder)
        snapshot = coordinator.cluster() if coordinator is not None else None
    except ClustertuneError as error:
        return Finding("fail", str(error))
    if snapshot is None:
        return Finding("ok", f"{label}: not running; it is started when it is needed")
    if snapshot.problem:
        return Finding("warn", f"{label}: {snapshot.problem}", f"look at {folder.log}")
    if snapshot.version != __version__:
        remedy = f"`kill {snapshot.pid}` when nothing runs; the next command starts the new version"
        return Finding("warn", f"{label}: is version {snapshot.version}, this is {__version__}", remedy)
    return Finding("ok", f"{label}: process {snapshot.pid}, {len(snapshot.experiments)} experiments")


def _leftovers(home: Home) -> Iterator[Finding]:
    reports = sorted(home.path.glob("bug-*.txt"))
    if reports:
        yield Finding(
            "warn", f"{len(reports)} reports of bugs, the last in {reports[-1]}", "report them, then delete them"
        )
    for folder in sorted(path for path in home.path.glob("clusters/*") if path.is_dir()):
        if not (folder / "cluster.json").exists():
            yield Finding("warn", f"{folder} has no cluster.json: it belongs to no cluster", f"rm -r {folder}")


def _optional_parts(_home: Home) -> Iterator[Finding]:
    for package, extra, use in (
        ("pandas", "data-frames", "results as data frames"),
        ("obstore", "storage", "checkpoints on S3 and Google Storage"),
    ):
        there = importlib.util.find_spec(package) is not None
        hint = "" if there else f" (not installed: pip install 'clustertune[{extra}]')"
        yield Finding("ok" if there else "info", f"optional: {package}, for {use}{hint}")
