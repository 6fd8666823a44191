"""Saves when it is asked to, and writes when each thing happened into the file that ``BENCHMARK_LOG`` names."""

import json
import os
import time

import clustertune

STATE_BYTES = 1_000_000


def train(config):
    began = time.time()
    level, loaded = 0, began
    if (saved := clustertune.latest_checkpoint()) is not None:
        (saved.path / "state").read_bytes()
        level, loaded = saved.resource, time.time()
    log(level, began=began, loaded=loaded)
    while level < 2:
        level, reported = level + 1, time.time()
        clustertune.report(level, loss=config["x"] / level)
        while level == 1 and "BENCHMARK_HOLD" in os.environ and not clustertune.should_checkpoint():
            time.sleep(0.0005)
        if clustertune.should_checkpoint():
            entered = time.time()
            try:
                with clustertune.new_checkpoint(level) as folder:
                    (folder / "state").write_bytes(os.urandom(STATE_BYTES))
                    filled = time.time()
            finally:
                log(level, reported=reported, entered=entered, filled=filled, left=time.time())


def hold(_):
    """Keeps its slot until a file has its experiment's name."""
    experiment = os.environ["CLUSTERTUNE_ATTEMPT"].partition(":")[0]
    while not os.path.exists(os.path.join(os.environ["BENCHMARK_HOLD"], experiment)):
        time.sleep(0.005)
    clustertune.report(1, loss=1.0)


def log(level, **times):
    with open(os.environ["BENCHMARK_LOG"], "a") as file:
        print(json.dumps({"attempt": os.environ["CLUSTERTUNE_ATTEMPT"], "level": level, **times}), file=file)
