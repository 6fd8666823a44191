"""What a training program calls: ``clustertune.report`` and its kin. Importing this costs milliseconds."""

from clustertune.training import Infeasible, Stopped, config, report, target

__all__ = ["Infeasible", "Stopped", "config", "report", "target"]
__version__ = "0.1.0"
