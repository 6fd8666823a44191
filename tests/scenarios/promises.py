"""What must hold of checkpoints after whatever happened."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from tests.scenarios.machines import Machines, wait_for

if TYPE_CHECKING:
    from tests.scenarios.conftest import Kept


def check_reports(machines: Machines, experiment: str) -> None:
    """No step counts twice, none that was passed is missing."""
    rows = machines.query("SELECT experiment, trial, resource FROM reports WHERE observed")
    levels = Counter((trial, level) for name, trial, level in rows if name == experiment)
    assert max(levels.values()) == 1
    for trial in {trial for trial, _ in levels}:
        its = sorted(level for number, level in levels if number == trial)
        assert its == list(range(1, len(its) + 1)), (trial, its)


def check_placements(machines: Machines, experiment: str) -> None:
    """Whoever began elsewhere than its checkpoint was made began from one that was whole in the storage."""
    facts = machines.facts("AttemptPlaced", "CheckpointSaved", "CheckpointStored", experiment=experiment)
    made: dict[str, set[tuple[str, int]]] = {}
    stored: set[str] = set()
    for fact in facts:
        if fact["fact"] == "CheckpointSaved":
            made.setdefault(fact["ref"]["digest"], set()).add((fact["instance"], fact["epoch"]))
        elif fact["fact"] == "CheckpointStored":
            stored.add(fact["digest"])
        elif fact.get("checkpoint") is not None:
            digest = fact["checkpoint"]["digest"]
            assert digest in stored or (fact["instance"], fact["epoch"]) in made[digest], fact


def check_what_is_left(machines: Machines, storage: Kept, experiment: str) -> None:
    """The incumbent's last checkpoint and result are stored, nothing else; and nothing on machines that left."""
    wait_for(
        lambda: manifests(storage, experiment) == wanted(machines, experiment),
        "the last deletion",
        20,
        lambda: f"{storage.held()} {wanted(machines, experiment)} {machines.log()}",
    )
    machines.end()
    left = [[*instance.glob("attempts/*"), *instance.glob("checkpoints")] for instance in machines.unharmed()]
    assert not any(left), (left, machines.log())


def wanted(machines: Machines, experiment: str) -> set[str]:
    with machines.client() as client:
        best = client.best(experiment)
    return {artifact.ref.digest for artifact in best.artifacts}


def manifests(storage: Kept, experiment: str) -> set[str]:
    """Those of one experiment; asserts that no part lies there that they do not need."""
    keys = [key.split("/") for key in storage.held() if "/.part-" not in key]  # half, of a coordinator that was killed
    return {key[-1] for key in keys if key[-2] == "manifests" and key[-3].startswith(f"{experiment}-1")}
