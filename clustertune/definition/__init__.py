"""YAML to typed definitions, with located errors; JSON Schema."""

from clustertune.definition.algorithms import Registry
from clustertune.definition.cluster import ClusterDefinition, Providers
from clustertune.definition.experiment import AlgorithmChoice, ExperimentDefinition
from clustertune.definition.loading import check_experiment, load_cluster, load_experiment
from clustertune.definition.program import check_program
from clustertune.definition.schema import json_schema

__all__ = [
    "AlgorithmChoice",
    "ClusterDefinition",
    "ExperimentDefinition",
    "Providers",
    "Registry",
    "check_experiment",
    "check_program",
    "json_schema",
    "load_cluster",
    "load_experiment",
]
