"""Tasks that stand in for training."""
