"""Snapshots to what people read."""
