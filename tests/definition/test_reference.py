"""The schema, and the pages that are made from it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from clustertune.definition import ClusterDefinition, ExperimentDefinition, json_schema
from clustertune.definition.reference import main
from clustertune.search.registry import Registry

PAGES = Path(__file__).parents[2] / "docs" / "reference"


def schema(which: Any) -> dict[str, Any]:
    return json_schema(which, Registry.default())


def test_the_pages_in_the_repository_are_not_stale() -> None:
    assert main(["--check", "--folder", str(PAGES)]) == 0, "run python -m clustertune.definition.reference"


def test_a_stale_page_is_told_and_written_anew(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check", "--folder", str(tmp_path)]) == 1
    assert "experiment.md is stale" in capsys.readouterr().err
    assert main(["--folder", str(tmp_path)]) == 0
    assert main(["--check", "--folder", str(tmp_path)]) == 0


@pytest.mark.parametrize(
    ("which", "definition"), [("experiment", ExperimentDefinition), ("cluster", ClusterDefinition)]
)
def test_the_schema_describes_every_field(which: str, definition: Any) -> None:
    found = schema(which)
    assert found["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    fields = {info.alias or name for name, info in definition.model_fields.items()} - {"options"}
    assert fields <= set(found["properties"])
    assert found["additionalProperties"] is False
    json.dumps(found, allow_nan=False)


def test_every_algorithm_stands_in_the_schema_with_its_own_options() -> None:
    choices = schema("experiment")["properties"]["scheduler"]["oneOf"]
    assert {"fifo", "asha", "asha-promotion", "hyperband", "population-based"} <= set(choices[0]["enum"])
    asha = next(choice for choice in choices if choice.get("title") == "asha")
    assert asha["properties"]["type"] == {"const": "asha"}
    assert asha["properties"]["reduction_factor"]["minimum"] == 2
    assert asha["properties"]["reduction_factor"]["default"] == 3
    assert asha["additionalProperties"] is False


def test_every_reference_in_the_schema_leads_somewhere() -> None:
    found = schema("experiment")
    text = json.dumps(found)
    for part in text.split('"$ref": "')[1:]:
        assert part.split('"')[0].removeprefix("#/$defs/") in found["$defs"]


def test_every_field_has_a_meaning_in_the_pages() -> None:
    for page in PAGES.glob("*.md"):
        for line in page.read_text("utf-8").splitlines():
            if line.startswith("| `"):
                name, kind, _, meaning, example = (
                    cell.strip() for cell in line.replace("\\|", "¦").strip("|").split("|")
                )
                assert kind, line
                assert meaning, line
                assert example.startswith(f"`{name.strip('`')}: "), line


def test_definitions_know_no_algorithms_and_nothing_heavy() -> None:
    program = (
        "import sys, clustertune.definition\n"
        "print(*(name for name in sys.modules if name.startswith('clustertune.search') or name in ('numpy', 'scipy')))"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == ""
