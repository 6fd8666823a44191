"""Searchers: each proposes configurations."""
