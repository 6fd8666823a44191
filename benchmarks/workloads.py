"""What is measured, of whom, and which figure is to be reached."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One tuner on a workload. ``command`` is a script of this folder with its arguments, after ``SIZE`` was filled in.

    ``note`` says what the reader must know for the figure to be fair.
    """

    who: str
    environment: str
    command: str
    size: int
    quick_size: int
    note: str = ""

    def arguments(self, *, quick: bool) -> list[str]:
        return self.command.replace("SIZE", str(self.quick_size if quick else self.size)).split()


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """``figure`` is the key of what is compared; ``to_reach`` a floor where more is better, else a ceiling."""

    name: str
    title: str
    figure: str
    unit: str
    to_reach: float
    more_is_better: bool = False
    measurements: Sequence[Measurement]

    def reached(self, figure: float) -> bool:
        return figure >= self.to_reach if self.more_is_better else figure <= self.to_reach

    def times_better(self, ours: float, theirs: float) -> float:
        """How many times better ours is; below 1 theirs is better."""
        better, worse = (ours, theirs) if self.more_is_better else (theirs, ours)
        return better / worse if worse else float("inf")


def _ours(command: str, size: int, quick_size: int) -> Measurement:
    return Measurement(
        who="clustertune",
        environment="clustertune",
        command=f"ours.py {command} SIZE",
        size=size,
        quick_size=quick_size,
    )


def _ray(command: str, size: int, quick_size: int, note: str) -> Measurement:
    return Measurement(
        who="Ray Tune",
        environment="ray",
        command=f"with_ray.py {command}",
        size=size,
        quick_size=quick_size,
        note=note,
    )


def _syne_tune(command: str, size: int, quick_size: int, note: str) -> Measurement:
    return Measurement(
        who="Syne Tune",
        environment="syne-tune",
        command=f"with_syne_tune.py {command} SIZE",
        size=size,
        quick_size=quick_size,
        note=note,
    )


def _optuna(command: str, size: int, quick_size: int, note: str) -> Measurement:
    return Measurement(
        who="Optuna",
        environment="optuna",
        command=f"with_optuna.py {command}",
        size=size,
        quick_size=quick_size,
        note=note,
    )


def _rung(who: str, environment: str) -> Measurement:
    return Measurement(
        who=who,
        environment=environment,
        command=f"rung.py {who.replace(' ', '_')} SIZE",
        size=100_000,
        quick_size=100_000,
    )


NO_OP = Workload(
    name="no-op",
    title="500 trials that report once and end, 2 slots, a process each, durable",
    figure="trials_per_s",
    unit="trials/s",
    to_reach=100,
    more_is_better=True,
    measurements=(
        _ours("no-op", 500, 200),
        _ray("no-op SIZE", 12, 6, "12 trials, a process each"),
        _ray("no-op SIZE --reuse", 500, 100, "processes used again"),
        _syne_tune("no-op", 40, 10, "40 trials, a process each, polls every 0.05 s"),
        _optuna("no-op SIZE --storage sqlite", 200, 60, "200 trials, 2 processes in all, SQLite"),
        _optuna("no-op SIZE --storage journal", 500, 200, "2 processes in all, journal file"),
    ),
)

FIRST_LINE = Workload(
    name="first-line",
    title="decision to first line of a function whose module imports numpy and scikit-learn",
    figure="first_line_ms",
    unit="ms",
    to_reach=15,
    measurements=(
        _ours("first-line", 20, 10),
        _ray("first-line SIZE", 6, 3, "a process each"),
        _ray("first-line SIZE --reuse", 20, 10, "one process for all; nothing is imported again"),
        _syne_tune("first-line", 8, 3, "a process each"),
    ),
)

ASHA = Workload(
    name="asha",
    title="ASHA, 200 trials, up to 81 reports 5 ms apart, 8 at once: wall over the same epochs without overhead",
    figure="overhead",
    unit="x",
    to_reach=2.5,
    measurements=(
        _ours("asha", 200, 100),
        _ray("asha SIZE --reuse", 200, 40, "processes used again"),
        _syne_tune("asha", 60, 20, "60 trials"),
        _optuna("asha SIZE", 200, 96, "threads of one process, in memory: nothing survives it"),
        _optuna("asha SIZE --storage journal", 200, 96, "8 processes in all, journal file"),
    ),
)

RUNG = Workload(
    name="rung",
    title="one rung decision with 100,000 trials recorded",
    figure="decision_us",
    unit="us",
    to_reach=20,
    measurements=(
        _rung("clustertune", "clustertune"),
        _rung("Ray Tune", "ray"),
        _rung("Syne Tune", "syne-tune"),
        _rung("Optuna", "optuna"),
    ),
)

REPORTS = Workload(
    name="reports",
    title="reports from eight trials through agent and journal, none lost",
    figure="reports_per_s",
    unit="reports/s",
    to_reach=5000,
    more_is_better=True,
    measurements=(
        _ours("reports", 20_000, 5000),
        _ray("reports SIZE", 300, 100, "300 reports a trial"),
        _syne_tune("reports", 1000, 200, "1000 reports a trial"),
        _optuna("reports SIZE --storage journal", 300, 100, "300 reports a trial, 8 processes, journal file"),
    ),
)

MEMORY = Workload(
    name="memory",
    title="memory of coordinator and agent after 2,000 trials, warm parent apart",
    figure="memory_mb",
    unit="MB",
    to_reach=150,
    measurements=(
        _ours("memory", 2000, 500),
        # The runs of the workload no-op, with their memory at the end.
        _ray("no-op SIZE --reuse", 500, 100, "500 trials; all of its processes"),
        _syne_tune("no-op", 40, 10, "40 trials; the tuner's process, nothing of the trials"),
        _optuna("memory SIZE --storage journal", 2000, 500, "one process, the trials run in it, journal file"),
    ),
)

IMPORT = Workload(
    name="import",
    title="`import clustertune` beyond Python's own start (of peers: the module to report with)",
    figure="import_ms",
    unit="ms",
    to_reach=30,
    measurements=(
        _ours("start-up", 20, 5),
        _ray("import SIZE", 5, 2, "import ray.tune"),
        _syne_tune("import", 10, 3, "from syne_tune import Reporter"),
        _optuna("import SIZE", 10, 3, "import optuna"),
    ),
)

HELP = Workload(
    name="help",
    title="`clustertune --help`",
    figure="help_ms",
    unit="ms",
    to_reach=250,
    measurements=(_ours("start-up", 20, 5),),
)


QUIET = Workload(
    name="quiet",
    title="CPU of the agent and of what starts trials beside eight trials that sleep, of one core",
    figure="cpu_percent",
    unit="%",
    to_reach=2,
    measurements=(_ours("quiet", 20, 5),),
)

QUIET_MEMORY = Workload(
    name="quiet-memory",
    title="memory of the agent and of what starts trials beside eight trials that sleep",
    figure="memory_mb",
    unit="MB",
    to_reach=60,
    measurements=(_ours("quiet", 20, 5),),
)

SHARED_DATA = Workload(
    name="shared-data",
    title="eight trials that read the same 200 MB: memory as fresh processes, over that as forks of one warm parent",
    figure="ratio",
    unit="x",
    to_reach=4,
    more_is_better=True,
    measurements=(_ours("shared-data", 200, 50),),
)


def _upload(kind: str, note: str) -> Measurement:
    return Measurement(
        who="clustertune",
        environment="clustertune",
        command=f"upload.py {kind} SIZE",
        size=1000,
        quick_size=200,
        note=note,
    )


UPLOAD = Workload(
    name="upload",
    title="1 GB of checkpoint into a store, as a share of what the store takes from the quickest plain client",
    figure="share",
    unit="%",
    to_reach=80,
    more_is_better=True,
    measurements=(
        _upload("sink", "an HTTP server that discards, on loopback"),
        _upload("files", "our files server: hashed, synced to disk"),
    ),
)

PAUSE = Workload(
    name="pause",
    title="pausing a trial and resuming it on another agent, beyond saving and loading (1 MB): median",
    figure="added_ms",
    unit="ms",
    to_reach=100,
    measurements=(
        Measurement(
            who="clustertune",
            environment="clustertune",
            command="pausing.py SIZE",
            size=15,
            quick_size=9,
            note="its wait for a slot is left out",
        ),
    ),
)


def _simulated(who: str, environment: str, trials: int) -> Measurement:
    return Measurement(
        who=who,
        environment=environment,
        command=f"simulation.py {environment} SIZE",
        size=trials,
        quick_size=1000,
        note=f"{trials:,} trials",
    )


SIMULATION = Workload(
    name="simulation",
    title="simulated ASHA with random search, 64 slots, up to 81 levels: results a second",
    figure="results_per_s",
    unit="results/s",
    to_reach=50_000,
    more_is_better=True,
    measurements=(
        *(_simulated("clustertune", "clustertune", trials) for trials in (5000, 1000, 20_000)),
        *(_simulated("Syne Tune", "syne-tune", trials) for trials in (1000, 5000)),
    ),
)

ALL = (
    NO_OP,
    FIRST_LINE,
    ASHA,
    RUNG,
    REPORTS,
    MEMORY,
    IMPORT,
    HELP,
    QUIET,
    QUIET_MEMORY,
    SHARED_DATA,
    UPLOAD,
    PAUSE,
    SIMULATION,
)
