"""The table and the plot of strategies side by side."""

from __future__ import annotations

from clustertune.view.comparison import StrategyRow, best_over_compute, comparison
from tests.view.screens import lines

ROWS = [
    StrategyRow(
        name="random + fifo", best=(0.2, 0.3, 0.4), compute_s=(3600.0, 3600.0, 3600.0), time_s=(60.0, 60.0, 60.0),
        trials=(64.0, 64.0, 64.0), curve=[None, 1.0, 0.9, 0.8, 0.5, 0.4, 0.3, 0.3],
    ),
    StrategyRow(
        name="random + asha", best=(0.1, 0.2, 0.2), compute_s=(600.0, 600.0, 600.0), time_s=(10.0, 10.0, 10.0),
        trials=(64.0, 64.0, 64.0), curve=[0.9, 0.5, 0.4, 0.3, 0.2, 0.2, None, None],
    ),
]  # fmt: skip


def test_the_table_has_medians_quartiles_and_what_they_took() -> None:
    shown = lines(comparison(ROWS, "loss", "minimize"), 120)
    assert shown[0].split() == ["strategy", "loss", "(minimize)", "quartiles", "slot", "time", "time", "trials"]
    assert shown[1].split() == ["random", "+", "fifo", "0.3", "0.2", "…", "0.4", "1h", "00m", "1m", "00s", "64"]
    assert shown[2].split()[:4] == ["random", "+", "asha", "0.2"]


def test_a_strategy_without_a_value_has_a_dash() -> None:
    none = StrategyRow(
        name="mute", best=None, compute_s=(0.0, 0.0, 0.0), time_s=(0.0, 0.0, 0.0), trials=(0.0, 0.0, 0.0), curve=[None]
    )
    assert lines(comparison([none], "loss", "minimize"))[1].split()[1:3] == ["-", "-"]
    assert lines(best_over_compute([none], 1.0, 2.0, width=60)) == ["no strategy has a best value to plot"]


def test_the_plot_names_each_line_where_it_ends_and_fits_the_width() -> None:
    shown = lines(best_over_compute(ROWS, 10.0, 3600.0, width=70, height=8), 70)
    assert len(shown) == 9
    assert max(map(len, shown)) <= 70
    fifo, asha = (next(i for i, line in enumerate(shown) if name in line) for name in ("+ fifo", "+ asha"))
    assert fifo < asha
    assert "10s" in shown[-1]
    assert "slot time (log)" in shown[-1]


def test_better_is_lower_on_the_plot_where_it_is_minimized() -> None:
    one = [ROWS[1]]
    shown = lines(best_over_compute(one, 10.0, 3600.0, width=70, height=8), 70)
    dots = [[x for x, cell in enumerate(line) if "\u2801" <= cell <= "\u28ff"] for line in shown[:8]]
    assert dots[0]
    assert dots[7]
    assert min(dots[0]) < min(dots[7])
