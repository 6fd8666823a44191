"""YAML to typed definitions, with located errors; JSON Schema."""

from clustertune.definition.algorithms import AUTO, Registry
from clustertune.definition.automatic import with_algorithms_chosen
from clustertune.definition.cluster import ClusterDefinition
from clustertune.definition.experiment import ExperimentDefinition
from clustertune.definition.loading import (
    Inspected,
    check_experiment,
    in_order,
    inspect_cluster,
    inspect_experiment,
    load_cluster,
    load_experiment,
)
from clustertune.definition.pausing import saves_when_asked
from clustertune.definition.program import check_program, interpreter_problem
from clustertune.definition.providers import Providers
from clustertune.definition.schema import json_schema
from clustertune.definition.sections import AlgorithmChoice

__all__ = [
    "AUTO",
    "AlgorithmChoice",
    "ClusterDefinition",
    "ExperimentDefinition",
    "Inspected",
    "Providers",
    "Registry",
    "check_experiment",
    "check_program",
    "in_order",
    "inspect_cluster",
    "inspect_experiment",
    "interpreter_problem",
    "json_schema",
    "load_cluster",
    "load_experiment",
    "saves_when_asked",
    "with_algorithms_chosen",
]
