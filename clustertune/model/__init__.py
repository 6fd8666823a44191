"""The words as types. Standard library only, Python 3.10: this travels to every machine."""
