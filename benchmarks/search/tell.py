"""A comparison as tables: ``python -m benchmarks.search.tell RAW.json`` prints them, and adds them to the file."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.search.comparison import LEVEL, MOST_DEFICIT, SHARES, Comparison, Tested


def main() -> None:
    path = Path(sys.argv[1])
    raw = json.loads(path.read_text())
    comparison = read(raw)
    path.write_text(json.dumps({"statistics": comparison.to_plain(), **raw}, indent=1))
    print(tell(comparison, raw["cells"]))


def read(raw: Mapping[str, Any]) -> Comparison:
    runs = {(cell["task"], cell["strategy"], cell["seed"]): cell["path"] for cell in raw["cells"]}
    return Comparison(
        runs,
        ours=raw["ours"],
        peers=raw["peers"],
        default=raw["default"],
        random=raw["random"],
        known=raw["known"],
    )


def tell(comparison: Comparison, cells: Sequence[Mapping[str, Any]]) -> str:
    parts = [_overall(comparison, cells), _by_task(comparison)]
    if comparison.tests:
        parts += [_against_random(comparison), _losses(comparison)]
    return "\n\n".join(parts)


def _overall(comparison: Comparison, cells: Sequence[Mapping[str, Any]]) -> str:
    """Ranks at each share, and what deciding took; the last column is of the tests."""
    head = [
        "strategy",
        *(f"rank at {share:g}" for share in SHARES),
        "regret at 1",
        "short of random",
        "seeds",
        "trials",
        "decision, ms",
        "default: better, worse",
    ]
    rows = []
    for name in sorted(comparison.strategies, key=lambda name: comparison.mean_rank(name, 1.0) or 99.0):
        own = [cell for cell in cells if cell["strategy"] == name]
        trials = sum(cell["trials"] for cell in own)
        tests = [tested for tested in comparison.tests if tested.other == name and tested.significant]
        lost = sum(tested.lost for tested in tests)
        rows.append(
            [
                f"**{name}**" if name == comparison.default else name,
                *(_number(comparison.mean_rank(name, share)) for share in SHARES),
                _number(comparison.mean_regret(name, 1.0)),
                _share(comparison.short_of_random(name)),
                str(comparison.complete_seeds(name)),
                f"{median(cell['trials'] for cell in own):.0f}" if own else "",
                f"{1e3 * sum(cell['deciding_s'] for cell in own) / max(1, trials):.3g}",
                f"{len(tests) - lost}, {lost}" if any(tested.other == name for tested in comparison.tests) else "",
            ]
        )
    return _table(head, rows)


def _by_task(comparison: Comparison) -> str:
    """The median regret at the end; the least of each task is bold."""
    rows = []
    for task in comparison.tasks:
        found = {name: regrets for name in comparison.strategies if (regrets := comparison.regrets(task, name, 1.0))}
        medians = {name: median(regrets) for name, regrets in found.items()}
        least = min(medians.values(), default=0.0)
        cells = [f"{medians[name]:.2f}" if name in medians else "" for name in comparison.strategies]
        bold = [
            f"**{cell}**" if medians.get(name) == least else cell
            for name, cell in zip(comparison.strategies, cells, strict=True)
        ]
        rows.append([task, *bold])
    return "Median regret at the end:\n\n" + _table(["task", *comparison.strategies], rows)


def _against_random(comparison: Comparison) -> str:
    tests = [tested for tested in comparison.tests if tested.other == comparison.random]
    worse = [tested for tested in tests if tested.lost and (tested.significant or tested.deficit > MOST_DEFICIT)]
    verdict = (
        f"Against random search {comparison.default} is significantly worse (corrected p < {LEVEL:g}) on "
        f"{sum(tested.lost and tested.significant for tested in tests)} tasks of {len(tests)}, and more than "
        f"{MOST_DEFICIT:.0%} worse on {sum(tested.lost and tested.deficit > MOST_DEFICIT for tested in tests)}."
    )
    return verdict + (f"\n\n{_tests(worse)}" if worse else "")


def _losses(comparison: Comparison) -> str:
    """Every one, the certain ones first."""
    losses = [tested for tested in comparison.tests if tested.lost and tested.other != comparison.random]
    all_of_them = sum(tested.other != comparison.random for tested in comparison.tests)
    told = f"Of {all_of_them} pairs of task and peer {comparison.default} has the worse median in {len(losses)}"
    return f"{told}." if not losses else f"{told}:\n\n{_tests(sorted(losses, key=lambda tested: tested.corrected_p))}"


def _tests(tests: Iterable[Tested]) -> str:
    head = ["task", "against", "value", "its value", "worse by", "regret", "its regret", "p", "corrected p", "seeds"]
    rows = [
        [
            tested.task,
            tested.other,
            f"{tested.default_value:.4g}",
            f"{tested.other_value:.4g}",
            f"{tested.deficit:.1%}",
            f"{tested.default_regret:.2f}",
            f"{tested.other_regret:.2f}",
            f"{tested.p:.3g}",
            f"**{tested.corrected_p:.3g}**" if tested.significant else f"{tested.corrected_p:.3g}",
            str(tested.seeds),
        ]
        for tested in tests
    ]
    return _table(head, rows)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.0%}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


if __name__ == "__main__":
    main()
