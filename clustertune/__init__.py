"""What a training program calls: ``clustertune.report`` and its kin. Importing this costs milliseconds."""

from clustertune.model.version import VERSION
from clustertune.training import Infeasible, Stopped, config, report, target

__all__ = ["Infeasible", "Stopped", "config", "report", "target"]
__version__ = VERSION
