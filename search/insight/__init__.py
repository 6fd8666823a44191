"""What an experiment's trials say about its space: which hyperparameters mattered, and where the good values lie."""
