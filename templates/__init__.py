"""Cluster and experiment templates that `clustertune init` copies; each runs as it is."""
