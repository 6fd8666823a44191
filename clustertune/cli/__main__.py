"""``python -m clustertune.cli`` is ``clustertune``."""

from clustertune.cli.main import main

main()
