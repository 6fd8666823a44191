# Needs Python 3.11 or newer, git and make. PYTHON=/path/to/python chooses the interpreter.

export PYTHON

.PHONY: help demo test lint benchmark clean

help:
	@echo "make demo       tune a small neural network on this machine (about a minute)"
	@echo "make test       run every test (COVERAGE=1: which lines were run, too)"
	@echo "make lint       ruff, mypy, import contracts, Python versions"
	@echo "make benchmark  measure clustertune beside its peers (a quarter of an hour)"
	@echo "make clean      remove what these made"

demo:
	@sh .ci/set-up
	@.venv/bin/clustertune tune templates/digits/experiment.yaml

test:
	@sh .ci/system-packages
	@sh .ci/set-up test
	@sh .ci/test .venv/bin

lint:
	@sh .ci/set-up lint
	@sh .ci/lint .venv/bin

benchmark:
	@python=$$(sh .ci/find-python) && "$$python" benchmarks/run.py

clean:
	rm -rf .venv build dist *.egg-info .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
