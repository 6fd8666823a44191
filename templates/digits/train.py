"""Trains scikit-learn's multi-layer perceptron on its handwritten digits, one epoch at a time."""

from __future__ import annotations

import pickle
import warnings
from typing import Any

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

import clustertune

EPOCHS = 81  # resource.max in experiment.yaml: clustertune stops most trials long before
DATA: dict[str, Any] = {}


def prepare() -> None:
    """Loads the data once; every trial is forked from a process that has it."""
    images, labels = load_digits(return_X_y=True)
    DATA["split"] = train_test_split(images / 16.0, labels, test_size=0.3, random_state=0, stratify=labels)


def train(config: dict[str, Any]) -> None:
    """Reports ``validation_error``, a fraction, after each epoch."""
    train_x, valid_x, train_y, valid_y = DATA["split"]
    model = MLPClassifier(
        hidden_layer_sizes=(config["hidden"],) * config["layers"],
        solver=config["solver"],
        learning_rate_init=config["learning_rate"],
        momentum=config.get("momentum", 0.9),  # only sgd has one
        alpha=config["weight_decay"],
        batch_size=config["batch_size"],
        random_state=0,
    )
    start = 0
    if (saved := clustertune.latest_checkpoint()) is not None:  # this trial was paused, or its machine was lost
        model = pickle.loads((saved.path / "model.pickle").read_bytes())
        start = saved.resource
    # A hopeless learning rate overflows; that shows in its error, and needs no line in the log for each batch.
    warnings.filterwarnings("ignore", category=RuntimeWarning)
    reached, error = start, 1.0
    try:
        for epoch in range(start + 1, EPOCHS + 1):
            try:
                model.partial_fit(train_x, train_y, classes=np.unique(train_y))
            except ValueError as failure:
                raise clustertune.Infeasible(f"diverged in epoch {epoch}") from failure
            reached, error = epoch, 1.0 - model.score(valid_x, valid_y)
            clustertune.report(epoch, validation_error=error)
            if clustertune.should_checkpoint():
                with clustertune.new_checkpoint(epoch) as folder:
                    (folder / "model.pickle").write_bytes(pickle.dumps(model))
    finally:  # also when clustertune stops it early; `clustertune logs` shows what is printed
        print(f"epoch {reached}: {error:.2%} of the validation images are read wrongly")
