"""What an experiment's definition is made of, section by section: every field, its default and its meaning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, model_serializer, model_validator

from clustertune.definition.fields import (
    Flag,
    Integer,
    Interval,
    Number,
    PositiveDuration,
    PositiveMoney,
    Section,
    SignalName,
    Size,
    Text,
    Words,
)
from clustertune.model.instance import Demand


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
