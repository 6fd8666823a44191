"""An experiment's definition: every field, its default and its meaning."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, Literal

from pydantic import Field, PrivateAttr, ValidationError, model_serializer, model_validator

from clustertune.definition.document import Document
from clustertune.definition.fields import (
    Duration,
    EnvironmentValue,
    Flag,
    Integer,
    Interval,
    Number,
    PositiveDuration,
    PositiveMoney,
    Scalar,
    Section,
    SignalName,
    Size,
    Text,
    Trials,
    Words,
)
from clustertune.definition.origin import Origin
from clustertune.definition.parameters import ParameterField, build_space
from clustertune.definition.translation import translate
from clustertune.model.errors import DefinitionMistake
from clustertune.model.instance import Demand
from clustertune.model.space import Space

NAME_PATTERN = r"[a-z0-9][a-z0-9._-]{0,62}"
DEFAULT_TRIALS = 64
NO_OBJECTIVE = "is missing; for example {metric: validation_error}"


class Run(Section):
    """What a trial runs: exactly one of ``call`` and ``command``."""

    call: Words | None = Field(
        default=None,
        description="A Python function, module:function; it is called with the configuration, a dict.",
        examples=["train:train"],
    )
    command: Words | None = Field(
        default=None,
        description="A program with its arguments. {lr} becomes the value of lr, {args} all values as --name value, "
        "{{ a brace. It is split as a shell would, and started without one.",
        examples=["python train.py --lr {lr}"],
    )
    shell: Flag = Field(
        default=False, description="Hand the command to /bin/sh: for pipes, variables and redirections."
    )


class Objective(Section):
    """What is to be made small or large."""

    metric: Words = Field(description="The reported metric.", examples=["validation_error"])
    goal: Literal["minimize", "maximize"] = Field(default="minimize", description="Which way is better.")
    take: Literal["best", "last"] = Field(default="best", description="Which report counts as a trial's value.")

    @property
    def sign(self) -> float:
        """What turns a value into a loss, which is minimized."""
        return 1.0 if self.goal == "minimize" else -1.0


class Aim(Section):
    """One of several objectives."""

    metric: Words = Field(description="The reported metric.", examples=["latency_ms"])
    goal: Literal["minimize", "maximize"] = Field(default="minimize", description="Which way is better.")

    @property
    def sign(self) -> float:
        """What turns a value into a loss, which is minimized."""
        return 1.0 if self.goal == "minimize" else -1.0


class MetricConstraint(Section):
    """What a metric must not pass: at_most, at_least, or both."""

    metric: Words = Field(description="The reported metric.", examples=["memory_gb"])
    at_most: Number | None = Field(default=None, description="It must not be larger than this.", examples=[8])
    at_least: Number | None = Field(default=None, description="It must not be smaller than this.", examples=[0.9])

    @property
    def bounds(self) -> str:
        """In words, as in ``at least 0.9 and at most 1``."""
        bounds = (("at least", self.at_least), ("at most", self.at_most))
        return " and ".join(f"{words} {bound:g}" for words, bound in bounds if bound is not None)


class Resource(Section):
    """What a trial consumes step by step."""

    name: Words = Field(default="step", description="What a step is called in reports and views.", examples=["epoch"])
    min: Integer = Field(default=1, ge=1, description="The level at which trials are first compared.", examples=[1])
    max: Integer | None = Field(
        default=None, ge=1, description="The level at which a trial is complete.", examples=[81]
    )
    unit: Text = Field(default="", description="What a level measures, for views.", examples=["% of the data"])
    cumulative: Flag = Field(
        default=True,
        description="Whether a higher level continues a lower one; false where it is a fresh run (a data share).",
    )


class AlgorithmChoice(Section):
    """An algorithm by name, with its options, complete and checked. Written as its name, or {type: …, option: …}.

    ``because`` is a part of a sentence where it was chosen for the user, and empty where the user named it.
    """

    type: Words = Field(description="The name of the algorithm.")
    options: dict[str, Any] = Field(default_factory=dict)
    because: str = ""

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, written: Any) -> Any:
        if isinstance(written, str):
            return {"type": written}
        if isinstance(written, Mapping):
            own = {name: written[name] for name in ("type", "because") if name in written}
            return {"options": {name: value for name, value in written.items() if name not in own}, **own}
        return written

    @model_serializer
    def _flatten(self) -> dict[str, Any]:
        return {"type": self.type, **self.options, **({"because": self.because} if self.because else {})}


class PerTrial(Section):
    """What one trial occupies while it runs."""

    cpus: Number = Field(default=1.0, gt=0, description="CPUs; may be a fraction.", examples=[2])
    gpus: Number = Field(
        default=0.0, ge=0, description="GPUs: a share of one (0.25), or a whole number.", examples=[0.25]
    )
    memory_bytes: Size = Field(default=0, alias="memory", description="Memory; 0 is not counted.", examples=["4GiB"])
    gpu_memory_bytes: Size = Field(
        default=0, alias="gpu_memory", description="Memory on its GPU; 0 is not counted.", examples=["8GiB"]
    )
    processes: Integer | None = Field(
        default=None,
        ge=1,
        le=256,
        description="Processes that make up a trial, as torchrun starts them: with RANK, WORLD_SIZE, MASTER_ADDR. "
        "Default: one, or one for each GPU where gpus is 2 or more.",
        examples=[4],
    )

    @property
    def demand(self) -> Demand:
        return Demand(self.cpus, self.memory_bytes, self.gpus, self.gpu_memory_bytes)

    @property
    def group(self) -> int:
        """How many processes a trial is made of."""
        return self.processes if self.processes is not None else max(1, int(self.gpus))


class Checkpoints(Section):
    """When trials are asked for checkpoints, and what may be kept of them."""

    supported: Flag | None = Field(
        default=None,
        description="Whether the program saves when it is asked to. Default: found out by reading it.",
        examples=[True],
    )
    every_s: Interval = Field(
        default=600.0,
        alias="every",
        description="How often a running trial is asked for a checkpoint; never: only when it is paused.",
        examples=["30m"],
    )
    signal: SignalName = Field(
        default="",
        description="A signal that tells a command to save a checkpoint now. Only for programs that handle it: "
        "any other dies of it.",
        examples=["SIGUSR1"],
    )
    save_time_s: PositiveDuration = Field(
        default=60.0,
        alias="save_time",
        description="How long a program may take to save when it is paused, before it is ended as it is.",
        examples=["5m"],
    )
    disk_bytes: Size | None = Field(
        default=None,
        alias="disk",
        ge=1,
        description="At most so much of this experiment's checkpoints is kept in the storage; those of running trials "
        "are given up first, the worst trial's first. Default: no limit.",
        examples=["50GiB"],
    )
    bandwidth_bytes_s: Size | None = Field(
        default=None,
        alias="bandwidth",
        ge=1024,
        description="What the uploads of one machine may use, a second. Default: all there is.",
        examples=["20MiB"],
    )


class Stop(Section):
    """When the experiment ends before its trials are used up: at the first of these."""

    time_s: PositiveDuration | None = Field(
        default=None, alias="time", description="Time that the experiment has run, without pauses.", examples=["2h"]
    )
    cost_usd: PositiveMoney | None = Field(default=None, alias="cost", description="Money spent.", examples=["20 USD"])
    target: Number | None = Field(
        default=None, description="A value at least as good as this was reached.", examples=[0.01]
    )
    flat: Integer | None = Field(default=None, ge=1, description="This many trials without improvement.", examples=[20])

    @property
    def is_set(self) -> bool:
        return any(limit is not None for limit in (self.time_s, self.cost_usd, self.target, self.flat))


class Metric(Section):
    """A number in the program's output."""

    name: Words = Field(description="What the number is called.", examples=["validation_error"])
    regex: Words = Field(
        description="A Python regular expression with one group, or one called value, around the number.",
        examples=["error: ([0-9.]+)"],
    )


class ExperimentDefinition(Section):
    """One search: what to run, what to vary, what to make better, and when to stop."""

    name: Text = Field(
        default="experiment",
        description="Default: the name of the file. Lower-case letters, digits, - _ and ., at most 63.",
        examples=["digits"],
    )
    run: Run = Field(description="What a trial runs.", examples=[{"call": "train:train"}])
    parameters: dict[str, ParameterField] = Field(
        alias="space",
        description="The hyperparameters, by name.",
        examples=[{"lr": {"type": "float", "low": 1e-4, "high": 1.0, "log": True}}],
    )
    constraints: list[Words] = Field(
        default_factory=list,
        description="Which configurations may be tried: all of these must hold.",
        examples=[["hidden * depth <= 4096"]],
    )
    one_objective: Objective | None = Field(
        default=None,
        alias="objective",
        description="What is to be made small or large. Needed, unless there are objectives.",
        examples=[{"metric": "validation_error"}],
    )
    objectives: list[Aim] = Field(
        default_factory=list,
        description="Two or more instead of the objective: the result is the front of trials that no other beats in "
        "all of them. Every report must hold all of them; a trial stands for its last one.",
        examples=[[{"metric": "validation_error"}, {"metric": "latency_ms"}]],
    )
    metric_constraints: list[MetricConstraint] = Field(
        default_factory=list,
        description="What reported metrics must keep to. A trial that breaks one is worse than all that keep them, the "
        "more it breaks them the worse. Every report must hold them.",
        examples=[[{"metric": "memory_gb", "at_most": 8}]],
    )
    resource: Resource = Field(
        default_factory=Resource,
        description="What a trial consumes step by step.",
        examples=[{"name": "epoch", "max": 81}],
    )
    scheduler: AlgorithmChoice = Field(
        default_factory=lambda: AlgorithmChoice(type="fifo"),
        description="Which trials run further. Default: auto, which chooses by resource and trials, and says why.",
        examples=["asha"],
    )
    searcher: AlgorithmChoice = Field(
        default_factory=lambda: AlgorithmChoice(type="random"),
        description="What to try next. Default: auto, which chooses by space, trials and parallel, and says why.",
        examples=["sobol"],
    )
    trials: Trials = Field(
        default=DEFAULT_TRIALS,
        ge=1,
        description="How many configurations to try; unlimited needs a stop condition. Default: 64; for a grid, all.",
        examples=[200],
    )
    per_trial: PerTrial = Field(
        default_factory=PerTrial, description="What one trial occupies while it runs.", examples=[{"cpus": 2}]
    )
    parallel: Integer | None = Field(
        default=None, ge=1, description="At most this many trials at once. Default: as many as fit.", examples=[4]
    )
    stop: Stop = Field(
        default_factory=Stop, description="When to end before the trials are used up.", examples=[{"time": "2h"}]
    )
    retries: Integer = Field(
        default=0,
        ge=0,
        description="How often a trial whose program failed is tried again. Lost machines do not count.",
    )
    seed: Integer = Field(default=0, ge=0, description="The same seed proposes the same configurations.", examples=[7])
    metrics: list[Metric] = Field(
        default_factory=list,
        description="Numbers to find in the program's output.",
        examples=[[{"name": "error", "regex": "error: ([0-9.]+)"}]],
    )
    checkpoints: Checkpoints = Field(
        default_factory=Checkpoints,
        description="When trials are asked for checkpoints, and what may be kept of them.",
        examples=[{"every": "30m"}],
    )
    storage: Words | None = Field(
        default=None,
        description="Where checkpoints are kept: s3://bucket/prefix, gs://bucket/prefix, or an absolute path. "
        "Default: the cluster's, and without one the coordinator's own disk.",
        examples=["s3://bucket/clustertune"],
    )
    trial_time_s: PositiveDuration | None = Field(
        default=None,
        alias="trial_time",
        description="An attempt that runs longer is ended. What it reported counts; without a report it has failed.",
        examples=["30m"],
    )
    grace_s: Duration = Field(
        default=10.0, alias="grace", description="From SIGTERM to SIGKILL, when a trial is stopped.", examples=["30s"]
    )
    initial: list[dict[str, Scalar]] = Field(
        default_factory=list,
        description="Configurations to begin with; what one leaves out is filled in by the searcher.",
        examples=[[{"lr": 0.01}]],
    )
    warm_start: list[Words] = Field(
        default_factory=list,
        description="Names of earlier experiments of the same coordinator to learn from. Their best configurations are "
        "tried first.",
        examples=[["digits"]],
    )
    env: dict[str, EnvironmentValue] = Field(
        default_factory=dict, description="Environment variables of the trials.", examples=[{"HF_HOME": "/data/hf"}]
    )
    secrets: list[Words] = Field(
        default_factory=list,
        description="Names of environment variables to hand to the trials; the values are never written down.",
        examples=[["HF_TOKEN"]],
    )
    python: Words | None = Field(
        default=None,
        description="The interpreter that trials run in. Default: the one that clustertune runs in.",
        examples=["/opt/venv/bin/python"],
    )
    workdir: Words = Field(
        default=".", description="The folder that trials run in, relative to this file.", examples=["../project"]
    )

    _origin: Origin = PrivateAttr(default_factory=Origin)

    @cached_property
    def space(self) -> Space:
        """The search space."""
        return build_space(self.parameters, self.constraints)

    @cached_property
    def objective(self) -> Objective:
        """The only one, or the first of several."""
        if self.one_objective is not None:
            return self.one_objective
        first = self.objectives[0]
        return Objective(metric=first.metric, goal=first.goal, take="last")

    @property
    def wanted_metrics(self) -> list[str]:
        """The metrics that every report must hold: those of the objectives, then those of the constraints."""
        aims = [aim.metric for aim in self.objectives] or [self.objective.metric]
        return list(dict.fromkeys([*aims, *(constraint.metric for constraint in self.metric_constraints)]))

    @property
    def origin(self) -> Origin:
        """Where this was read, for problems found later."""
        return self._origin

    def from_origin(self, origin: Origin) -> ExperimentDefinition:
        """The same definition, which knows where it was read."""
        located = self.model_copy()
        located._origin = origin
        return located

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> ExperimentDefinition:
        """The definition that ``to_plain`` gave. Raises DefinitionMistake."""
        document = Document(tree=dict(plain), file="definition")
        none = not (plain.get("objective") or plain.get("objectives"))
        missing = [document.problem(("objective",), NO_OBJECTIVE)] if none else []
        try:
            definition = cls.model_validate(dict(plain))
        except ValidationError as error:
            raise DefinitionMistake([*translate(error, document, cls), *missing]) from error
        if missing:
            raise DefinitionMistake(missing)
        return definition

    def to_plain(self) -> dict[str, Any]:
        """JSON-able, under the names that YAML has, with plain numbers in bytes, seconds and US dollars."""
        return self.model_dump(mode="json", by_alias=True)
