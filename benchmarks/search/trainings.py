"""Real training on scikit-learn's bundled data: what is trained, over which space, and what a level reports.

Each function yields the validation loss level by level. They are recorded once, by ``record.py``.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from clustertune.model.parameters import Choice, Float, Int, Ordinal
from clustertune.model.space import Space


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """``configs`` is how many configurations its table has: many where training is quick."""

    space: Space
    max_resource: int
    configs: int
    losses: Callable[[Mapping[str, Any], int], Iterator[float]]


def _split(data: Any, *, classes: bool, train: int | None = None) -> tuple[Any, Any, Any, Any]:
    """Standardized by what is trained on; always the same split."""
    from sklearn.model_selection import train_test_split
    from sklearn.preprocessing import StandardScaler

    x, xv, y, yv = train_test_split(
        data.data, data.target, train_size=train or 0.6, random_state=0, stratify=data.target if classes else None
    )
    scaler = StandardScaler().fit(x)
    return scaler.transform(x), scaler.transform(xv), y, yv


def _digits_mlp(config: Mapping[str, Any], epochs: int) -> Iterator[float]:
    """The share of digits that a network with one hidden layer takes for another."""
    import numpy as np
    from sklearn.datasets import load_digits

    x, xv, y, yv = _split(load_digits(), classes=True, train=600)
    model = _network(config)
    for _ in range(epochs):
        model.partial_fit(x, y, classes=np.arange(10))
        yield float(np.mean(model.predict(xv) != yv))


def _wine_mlp(config: Mapping[str, Any], epochs: int) -> Iterator[float]:
    """The cross entropy of a network on three kinds of wine; of few bottles, for of many it becomes next to nothing."""
    import numpy as np
    from sklearn.datasets import load_wine
    from sklearn.metrics import log_loss

    x, xv, y, yv = _split(load_wine(), classes=True, train=36)
    model = _network(config)
    for _ in range(epochs):
        model.partial_fit(x, y, classes=np.arange(3))
        chances = model.predict_proba(xv)
        yield float(log_loss(yv, chances)) if np.all(np.isfinite(chances)) else float("nan")


def _network(config: Mapping[str, Any]) -> Any:
    from sklearn.neural_network import MLPClassifier

    return MLPClassifier(
        (config["hidden"],),
        solver=config["solver"],
        learning_rate_init=config["lr"],
        momentum=config.get("momentum", 0.0),
        nesterovs_momentum=False,
        alpha=config["alpha"],
        batch_size=config["batch"],
        random_state=0,
    )


def _breast_cancer_sgd(config: Mapping[str, Any], epochs: int) -> Iterator[float]:
    """The share of wrong answers of a linear model, over three folds."""
    import numpy as np
    from sklearn.datasets import load_breast_cancer
    from sklearn.linear_model import SGDClassifier
    from sklearn.model_selection import StratifiedKFold
    from sklearn.preprocessing import StandardScaler

    data = load_breast_cancer()
    folds = []
    for train, held in StratifiedKFold(3, shuffle=True, random_state=0).split(data.data, data.target):
        scaler = StandardScaler().fit(data.data[train])
        model = SGDClassifier(
            loss=config["loss"],
            penalty=config["penalty"],
            alpha=config["alpha"],
            l1_ratio=config.get("l1_ratio", 0.15),
            learning_rate=config["schedule"],
            eta0=config.get("eta0", 0.01),
            power_t=config.get("power_t", 0.5),
            random_state=0,
        )
        x = scaler.transform(data.data)
        folds.append((model, x[train], data.target[train], x[held], data.target[held]))
    for _ in range(epochs):
        wrong = 0
        for model, x, y, xv, yv in folds:
            model.partial_fit(x, y, classes=np.arange(2))
            wrong += int(np.sum(model.predict(xv) != yv))
        yield wrong / len(data.target)


def _diabetes_boosting(config: Mapping[str, Any], trees: int) -> Iterator[float]:
    """The root mean square error of boosted trees, as a share of the target's own deviation."""
    import numpy as np
    from sklearn.datasets import load_diabetes
    from sklearn.ensemble import GradientBoostingRegressor

    x, xv, y, yv = _split(load_diabetes(), classes=False)
    model = GradientBoostingRegressor(
        learning_rate=config["lr"],
        max_depth=config["depth"],
        min_samples_leaf=config["leaf"],
        subsample=config["subsample"],
        max_features=config["features"],
        loss=config["loss"],
        alpha=config.get("quantile", 0.9),
        n_estimators=trees,
        random_state=0,
    ).fit(x, y)
    for predicted in model.staged_predict(xv):
        yield float(np.sqrt(np.mean((predicted - yv) ** 2)) / np.std(yv))


def _networks(hidden: int) -> Space:
    return Space(
        {
            "lr": Float(1e-4, 1.0, log=True),
            "hidden": Int(4, hidden, log=True),
            "alpha": Float(1e-6, 10.0, log=True),
            "batch": Ordinal((16, 32, 64, 128)),
            "solver": Choice(("sgd", "adam")),
            "momentum": Float(0.0, 0.99),
        },
        {"momentum": {"solver": ("sgd",)}},
    )


TRAININGS: Mapping[str, Training] = {
    "digits-mlp": Training(space=_networks(128), max_resource=27, configs=320, losses=_digits_mlp),
    "wine-mlp": Training(space=_networks(64), max_resource=81, configs=400, losses=_wine_mlp),
    "breast-cancer-sgd": Training(
        space=Space(
            {
                "loss": Choice(("hinge", "log_loss", "modified_huber", "perceptron")),
                "penalty": Choice(("l1", "l2", "elasticnet")),
                "alpha": Float(1e-7, 1.0, log=True),
                "l1_ratio": Float(0.0, 1.0),
                "schedule": Choice(("optimal", "constant", "invscaling")),
                "eta0": Float(1e-5, 10.0, log=True),
                "power_t": Float(0.05, 1.0),
            },
            {
                "l1_ratio": {"penalty": ("elasticnet",)},
                "eta0": {"schedule": ("constant", "invscaling")},
                "power_t": {"schedule": ("invscaling",)},
            },
        ),
        max_resource=81,
        configs=600,
        losses=_breast_cancer_sgd,
    ),
    "diabetes-boosting": Training(
        space=Space(
            {
                "lr": Float(1e-3, 1.0, log=True),
                "depth": Int(1, 8),
                "leaf": Int(1, 60, log=True),
                "subsample": Float(0.2, 1.0),
                "features": Float(0.1, 1.0),
                "loss": Choice(("squared_error", "absolute_error", "huber")),
                "quantile": Float(0.5, 0.99),
            },
            {"quantile": {"loss": ("huber",)}},
        ),
        max_resource=81,
        configs=400,
        losses=_diabetes_boosting,
    ),
}


def losses(training: Training, config: Mapping[str, Any]) -> Iterator[float]:
    """As a user's program would report them: a model that overflows reports NaN, and goes on."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield from training.losses(config, training.max_resource)
        except ValueError:  # scikit-learn refuses to go on with weights that are not finite
            yield float("nan")
