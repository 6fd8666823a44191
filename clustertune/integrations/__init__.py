"""Callbacks for training libraries: each reports, saves when asked, and goes on from the checkpoint that there is."""
