"""What a training program calls: ``clustertune.report`` and its kin. Importing this costs milliseconds."""

from clustertune.model.version import VERSION
from clustertune.training import (
    Infeasible,
    Stopped,
    config,
    describe,
    latest_checkpoint,
    new_checkpoint,
    new_result,
    report,
    should_checkpoint,
    target,
)

__all__ = [
    "Infeasible",
    "Stopped",
    "config",
    "describe",
    "latest_checkpoint",
    "new_checkpoint",
    "new_result",
    "report",
    "should_checkpoint",
    "target",
]
__version__ = VERSION
