"""An experiment's definition: every field, its default and its meaning."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from pydantic import Field, PrivateAttr, ValidationError

from clustertune.definition.document import Document
from clustertune.definition.fields import (
    Duration,
    EnvironmentValue,
    Integer,
    PositiveDuration,
    Scalar,
    Section,
    Text,
    Trials,
    Words,
)
from clustertune.definition.origin import Origin
from clustertune.definition.parameters import ParameterField, build_space
from clustertune.definition.sections import (
    Aim,
    AlgorithmChoice,
    Checkpoints,
    Metric,
    MetricConstraint,
    Objective,
    PerTrial,
    Resource,
    Run,
    Stop,
)
from clustertune.definition.translation import translate
from clustertune.model.errors import DefinitionMistake
from clustertune.model.space import Space

NAME_PATTERN = r"[a-z0-9][a-z0-9._-]{0,62}"
DEFAULT_TRIALS = 64
NO_OBJECTIVE = "is missing; for example {metric: validation_error}"


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
