"""Any program will do: this one walks down a valley and prints how high it is."""

from __future__ import annotations

import argparse


def height(x: float, y: float) -> float:
    """Rosenbrock's valley: 0 at (1, 1)."""
    return (1 - x) ** 2 + 100 * (y - x * x) ** 2


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--x", type=float, required=True)
    parser.add_argument("--y", type=float, required=True)
    parser.add_argument("--steps", type=int, default=10)
    options = parser.parse_args()
    x, y = options.x, options.y
    for step in range(1, options.steps + 1):
        slope_x = -2 * (1 - x) - 400 * x * (y - x * x)
        slope_y = 200 * (y - x * x)
        length = max(1.0, (slope_x**2 + slope_y**2) ** 0.5)
        x, y = x - 0.1 * slope_x / length, y - 0.1 * slope_y / length
        print(f"step {step} loss={height(x, y):.6g}")


if __name__ == "__main__":
    main()
