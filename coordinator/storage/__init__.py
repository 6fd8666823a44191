"""Where checkpoints are kept: a folder, or an object store."""
