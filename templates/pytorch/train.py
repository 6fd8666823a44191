"""Trains a small network on scikit-learn's handwritten digits with PyTorch; it can be paused after every epoch."""

from __future__ import annotations

from typing import Any

import torch
from sklearn.datasets import load_digits
from torch import nn

import clustertune

EPOCHS = 27  # resource.max in experiment.yaml
DATA: dict[str, torch.Tensor] = {}


def prepare() -> None:
    """Loads the data once; every trial is forked from a process that has it."""
    images, labels = load_digits(return_X_y=True)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    DATA["x"] = torch.tensor(images, dtype=torch.float32)[order] / 16
    DATA["y"] = torch.tensor(labels)[order]
    # torch imports much at a process's first optimizer, which takes a second: once here, and not in every trial.
    torch.optim.SGD([torch.zeros(1)], lr=1.0)


def train(config: dict[str, Any]) -> None:
    """Reports ``validation_error``, a fraction, after each epoch."""
    torch.set_num_threads(1)  # trials share the machine
    torch.manual_seed(0)
    clustertune.describe(data="scikit-learn's digits, 1797 images")
    model = nn.Sequential(nn.Linear(64, config["hidden"]), nn.ReLU(), nn.Linear(config["hidden"], 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=config["lr"], momentum=config["momentum"])
    start = 0
    if (saved := clustertune.latest_checkpoint()) is not None:
        state = torch.load(saved.path / "state.pt")
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["random"])
        start = saved.resource
    for epoch in range(start + 1, EPOCHS + 1):
        one_epoch(model, optimizer)
        clustertune.report(epoch, validation_error=error(model))
        if clustertune.should_checkpoint():
            with clustertune.new_checkpoint(epoch) as folder:
                state = {
                    "model": model.state_dict(),
                    "optimizer": optimizer.state_dict(),
                    "random": torch.get_rng_state(),
                }
                torch.save(state, folder / "state.pt")
    with clustertune.new_result() as folder:  # what `clustertune best --to DIR` brings, besides the checkpoint
        torch.save(model.state_dict(), folder / "model.pt")


def one_epoch(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Over all but the last 500 images, in an order that is drawn anew."""
    x, y = DATA["x"][:-500], DATA["y"][:-500]
    for batch in torch.randperm(len(x)).split(64):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x[batch]), y[batch]).backward()
        optimizer.step()


def error(model: nn.Module) -> float:
    """The share of the last 500 images that is read wrongly."""
    with torch.no_grad():
        guessed = model(DATA["x"][-500:]).argmax(dim=1)
    return float((guessed != DATA["y"][-500:]).float().mean())
