"""What states and levels look like."""

from __future__ import annotations

from collections.abc import Mapping

from clustertune.model.trial import ExperimentState, TrialState

EXPERIMENT_STYLES: Mapping[ExperimentState, str] = {
    ExperimentState.RUNNING: "cyan",
    ExperimentState.PAUSED: "yellow",
    ExperimentState.COMPLETED: "green",
    ExperimentState.STOPPED: "yellow",
    ExperimentState.FAILED: "bold red",
}

TRIAL_STYLES: Mapping[TrialState, str] = {
    TrialState.PENDING: "dim",
    TrialState.STARTING: "cyan",
    TrialState.RUNNING: "cyan",
    TrialState.PAUSED: "yellow",
    TrialState.COMPLETED: "green",
    TrialState.STOPPED: "dim",
    TrialState.FAILED: "red",
    TrialState.INFEASIBLE: "yellow",
}

LEVEL_STYLES: Mapping[str, str] = {"info": "", "warning": "yellow", "error": "red"}
