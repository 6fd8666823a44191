"""One tuner's rung decision, in its own environment: ``python rung.py TUNER RECORDS`` prints its figure as JSON."""

from __future__ import annotations

import argparse
import json
import warnings

import rung_decision

TUNERS = {
    "clustertune": rung_decision.clustertune,
    **{name.replace(" ", "_"): make for name, (_, make) in rung_decision.PEERS.items()},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tuner", choices=TUNERS)
    parser.add_argument("records", type=int)
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")
    decisions = 1000 if chosen.tuner == "clustertune" else 30
    seconds = rung_decision.seconds_per_decision(TUNERS[chosen.tuner], chosen.records, decisions)
    print(json.dumps({"decision_us": seconds * 1e6, "decisions": decisions}))


if __name__ == "__main__":
    main()
