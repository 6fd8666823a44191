"""Keeps the whole true: a pure core, a journal, servers, the fleet."""
