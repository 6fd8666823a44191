"""YAML to typed definitions, with located errors; JSON Schema."""

from clustertune.definition.algorithms import Registry
from clustertune.definition.cluster import ClusterDefinition, Providers
from clustertune.definition.experiment import AlgorithmChoice, ExperimentDefinition
from clustertune.definition.loading import check_experiment, load_cluster, load_experiment

__all__ = [
    "AlgorithmChoice",
    "ClusterDefinition",
    "ExperimentDefinition",
    "Providers",
    "Registry",
    "check_experiment",
    "load_cluster",
    "load_experiment",
]
