"""Bayesian optimization: a model of the loss proposes where it expects to gain most (Shahriari et al. 2016)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from clustertune.model.space import Space
from clustertune.model.trial import Config, Value
from clustertune.search.searchers.past import Past, best_and_others

if TYPE_CHECKING:
    from clustertune.search.searchers.model_search import Lesson
    from clustertune.search.searchers.surrogates import Surrogate

MOST_FOR_A_GAUSSIAN_PROCESS = 150
"""Beyond so many observations its cost, which grows with their cube, buys less than trees give for nothing."""

_MOST_ROWS = 400
_MOST_ROWS_OF_TREES = 4000
"""A model learns from so many trials at most: the best half of them, and chance."""

SURROGATE: Mapping[str, object] = {
    "doc": "The model: gp (Gaussian process), rf (random forest), et (extra trees), gbrt (boosted trees); auto: a "
    "Gaussian process while there are few observations, extra trees beyond. A Gaussian process learns from some "
    "hundreds of trials at most.",
    "examples": ["et"],
}
ACQUISITION: Mapping[str, object] = {
    "doc": "What makes a configuration promising: ei (expected improvement), lcb (lower confidence bound), pi "
    "(probability of improvement), hedge (one of these, by chance in favour of the best).",
    "examples": ["lcb"],
}
DESIGN: Mapping[str, object] = {
    "doc": "How many quasi-random configurations come first. Default: by the number of parameters.",
    "minimum": 1,
    "examples": [10],
}


@dataclass(frozen=True, slots=True)
class BayesianOptions:
    """The model, and how it is used."""

    surrogate: Literal["auto", "gp", "rf", "et", "gbrt"] = field(default="auto", metadata=SURROGATE)
    acquisition: Literal["ei", "lcb", "pi", "hedge"] = field(default="ei", metadata=ACQUISITION)
    initial_points: int | None = field(default=None, metadata=DESIGN)


class Bayesian:
    """Learns from every trial's value which configurations are promising (scikit-optimize)."""

    Options = BayesianOptions

    def __init__(
        self, *, space: Space, seed: int, initial: Sequence[Mapping[str, Value]], options: BayesianOptions
    ) -> None:
        del initial
        # Heavy, and of no use to whoever only reads the options.
        from clustertune.search.searchers.model_search import ModelSearch

        self._options, self._seed = options, seed
        self._search = search = ModelSearch(space, seed, options.acquisition, self._lesson)
        self.created, self.forget, self.observe = search.past.created, search.past.forget, search.observe
        self.earlier, self.observe_all = search.earlier, search.observe_all

    @staticmethod
    def design(options: BayesianOptions, *, space: Space) -> int:
        """By default two for each parameter, at least 5 and at most 20."""
        return options.initial_points or design_size(space)

    def propose(self, count: int) -> list[Config]:
        """A function of the seed and of what was told."""
        return self._search.propose(count)

    def _lesson(self, past: Past) -> Lesson:
        from clustertune.search.searchers.model_search import Lesson

        # A trial that was stopped early counts with what it reached: others passed it at that level.
        trials = [known for known in past.trials.values() if known.losses and not known.failed]
        ended = [(known.config, known.losses[known.level]) for known in trials]
        valued = sorted(((config, loss) for config, loss in ended if math.isfinite(loss)), key=lambda pair: pair[1])
        # One that was not finite on its way is no worse for it.
        worthless = [config for config, loss in ended if not math.isfinite(loss)]
        worthless += [known.config for known in past.trials.values() if known.failed]
        kind = surrogate_for(self._options.surrogate, len(valued) + len(worthless))
        most = _MOST_ROWS if kind == "gp" else _MOST_ROWS_OF_TREES
        worthless = worthless[-most // 4 :]
        valued = best_and_others(valued, most - len(worthless), f"{self._seed}/rows/{past.told}")
        configs = [config for config, _ in valued]
        return Lesson(
            kind=kind,
            taught=configs,
            losses=[loss for _, loss in valued],
            worthless=worthless,
            best=configs,
            pending=list(past.pending()),
        )


def design_size(space: Space) -> int:
    """How many configurations to spread over the space before there is anything to learn from."""
    return min(20, max(5, 2 * len(space.dimensions)))


def surrogate_for(asked: str, observations: int) -> Surrogate:
    """The model for so many observations, where the user leaves it open."""
    if asked != "auto":
        named: Surrogate = asked  # type: ignore[assignment]
        return named
    return "gp" if observations <= MOST_FOR_A_GAUSSIAN_PROCESS else "et"
