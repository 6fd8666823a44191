"""Python client of a coordinator.

from clustertune.client import Home, connect

with connect(Home.from_environment().cluster("local")) as coordinator:
    trials = coordinator.results("digits").trials     # a pandas DataFrame
"""

from clustertune.client.coordinator import Coordinator
from clustertune.client.home import ClusterFolder, Home
from clustertune.client.nearby import connect

__all__ = ["ClusterFolder", "Coordinator", "Home", "connect"]
