"""Python client of a coordinator."""
