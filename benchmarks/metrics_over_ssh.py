"""Reports a second that end in the journal, over SSH and on this machine: ``python benchmarks/metrics_over_ssh.py``.

As root on Linux, where the tests can run. The same experiment, one trial after the other that does nothing but report,
once with the provider local and once on a machine of the tests; in turn, so that what else runs falls on both.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.machines.image import Image  # noqa: E402
from tests.machines.machine import Machine  # noqa: E402
from tests.machines.rack import Rack, why_not  # noqa: E402

PROGRAM = ROOT / "benchmarks" / "programs" / "many_reports.py"
EXPERIMENT = """\
name: {name}
run: {{call: "many_reports:train"}}
space: {{reports: {{type: constant, value: {reports}}}, any: {{type: float, low: 0, high: 1}}}}
objective: {{metric: loss, goal: minimize}}
scheduler: fifo
searcher: random
trials: 2
"""
LIMIT_S = 600


def main() -> int:
    parser = argparse.ArgumentParser(description="Reports a second that end in the journal, over SSH and here.")
    parser.add_argument("--reports", type=int, default=50_000, help="of each trial")
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    if (reason := why_not()) is not None:
        print(reason, file=sys.stderr)
        return 1
    rack, folder = Rack(), Path(tempfile.mkdtemp(prefix="ct-"))
    try:
        write(folder, rack.make(1, Image())[0], rack.key)
        rates = {"local": list[float](), "ssh": list[float]()}
        for number in range(chosen.rounds):
            for where, found in rates.items():
                found += measure(folder, where, number, chosen.reports)
        for where, found in rates.items():
            print(f"{where}: {median(found):,.0f} reports/s ({min(found):,.0f} to {max(found):,.0f})")
        print(f"ssh / local: {median(rates['ssh']) / median(rates['local']):.2f}")
    finally:
        for where in [path.name for path in (folder / "home" / "clusters").glob("*")]:
            clustertune(folder, "down", where, "--yes")
        rack.close()
        shutil.rmtree(folder)
    return 0


def write(folder: Path, machine: Machine, key: Path) -> None:
    """The program, and a cluster of each kind."""
    shutil.copy(PROGRAM, folder)
    (folder / "known_hosts").write_text(machine.known_hosts)
    (folder / "ssh_config").write_text(
        f"Host gpu\n  HostName {machine.address}\n  User ubuntu\n  IdentityFile {key}\n"
        f"  UserKnownHostsFile {folder}/known_hosts\n  GlobalKnownHostsFile /dev/null\n"
    )
    (folder / "local.yaml").write_text("name: local\nslots: 1\nidle_timeout: 5m\n")
    (folder / "ssh.yaml").write_text("name: ssh\nprovider: ssh\nhosts: [gpu]\nslots: 1\nssh_config: ssh_config\n")


def measure(folder: Path, where: str, number: int, reports: int) -> list[float]:
    """Of each trial, from its start until its end is in the journal, behind all that it reported."""
    name = f"{where}-{number}"
    path = folder / f"{name}.yaml"
    path.write_text(EXPERIMENT.format(name=name, reports=reports))
    clustertune(folder, "tune", path.name, "--cluster", f"{where}.yaml", "--plain")
    journal = folder / "home" / "clusters" / where / "journal.sqlite"
    with closing(sqlite3.connect(f"file:{journal}?mode=ro", uri=True)) as reader:
        facts = reader.execute("SELECT kind, now, body FROM facts").fetchall()
        kept = reader.execute("SELECT COUNT(*) FROM reports WHERE experiment = ?", (name,)).fetchone()[0]
    assert kept == 2 * reports, f"{kept} reports are in the journal"
    began, ended = (
        {
            fact["trial"]: now
            for kind, now, body in facts
            if kind == wanted and (fact := json.loads(body))["experiment"] == name
        }
        for wanted in ("AttemptStarted", "AttemptEnded")
    )
    return [reports / (ended[trial] - began[trial]) for trial in ended]


def clustertune(folder: Path, *words: str) -> str:
    ran = subprocess.run(
        [sys.executable, "-m", "clustertune.cli", *words],
        cwd=folder,
        env={**os.environ, "CLUSTERTUNE_HOME": str(folder / "home")},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=True,
    )
    return ran.stdout


if __name__ == "__main__":
    sys.exit(main())
