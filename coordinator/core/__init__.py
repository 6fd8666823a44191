"""The decisions: pure functions of events and time."""
