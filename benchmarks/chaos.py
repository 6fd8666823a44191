"""Breaks a cluster of six machines over SSH in every way, by plans that seeds make, and says how many held.

``python benchmarks/chaos.py --seeds 100 [--first 1]`` runs many; ``--seed 17`` runs one again. Needs root, for the
machines are namespaces of this one.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.conftest import TestHome
from tests.machines.fixture import Machines
from tests.machines.rack import Rack, why_not
from tests.scenarios.chaos.plan import What, written
from tests.scenarios.chaos.trial_of_strength import go_through


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, help="this one alone")
    parser.add_argument("--seeds", type=int, default=3, help="how many")
    parser.add_argument("--first", type=int, default=1, help="where they begin")
    arguments = parser.parse_args()
    if (why := why_not()) is not None:
        print(why, file=sys.stderr)
        return 2
    seeds = (
        [arguments.seed] if arguments.seed is not None else range(arguments.first, arguments.first + arguments.seeds)
    )
    os.environ.pop("SSH_AUTH_SOCK", None)
    met, failed = Counter[What](), list[int]()
    for seed in seeds:
        began_s = time.monotonic()
        found = one(seed)
        if found is None:
            failed.append(seed)
        else:
            met += found
        how = "failed" if found is None else "held"
        print(f"seed {seed} {how} in {time.monotonic() - began_s:.0f} s", flush=True)
    print(f"{len(seeds) - len(failed)} of {len(seeds)} seeds held; faults that met something to break:")
    for what in What:
        print(f"  {met[what]:>6}  {what.value}")
    if failed:
        print(f"failed: {', '.join(map(str, failed))}")
    return 1 if failed else 0


def one(seed: int) -> Counter[What] | None:
    """What was met where all held; else says what did not, and gives None."""
    home, folder = Path(tempfile.mkdtemp(prefix="ct-")), Path(tempfile.mkdtemp(prefix="ct-lab-"))
    os.environ["CLUSTERTUNE_HOME"] = str(home)
    test_home, rack = TestHome(home), Rack()
    try:
        return go_through(seed, test_home, folder, Machines(rack))
    except Exception:
        traceback.print_exc()
        print(written(seed), flush=True)
        return None
    finally:
        test_home.kill()
        rack.close()
        for path in (home, folder):
            shutil.rmtree(path, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
