"""What to try and what to stop. Pure: no clock, no I/O, no async."""
