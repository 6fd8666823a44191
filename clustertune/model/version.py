"""The version, for all who say it; importing it runs nothing."""

VERSION = "0.1.0"
