"""Runs trials on one machine."""
