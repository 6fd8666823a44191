"""The coordinator's own core in virtual time: simulated machines, and functions or recorded curves for training."""
