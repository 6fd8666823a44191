"""Clusters from YAML."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from clustertune.definition import ClusterDefinition, load_cluster
from clustertune.model.errors import DefinitionMistake, NoSuchName

TEXT = """\
name: workstation
provider: local
slots: 4
idle_timeout: 10m
python: /opt/venv/bin/python
env: {HF_HOME: /data/hf}
secrets: [HF_TOKEN]
"""


def told(text: str) -> list[str]:
    with pytest.raises(DefinitionMistake) as caught:
        load_cluster(text)
    return [str(problem) for problem in caught.value.problems]


def test_a_local_cluster_is_read() -> None:
    cluster = load_cluster(TEXT)
    assert (cluster.name, cluster.provider, cluster.slots, cluster.idle_timeout_s) == ("workstation", "local", 4, 600)
    assert (cluster.python, cluster.env, cluster.secrets) == (
        "/opt/venv/bin/python",
        {"HF_HOME": "/data/hf"},
        ["HF_TOKEN"],
    )


def test_the_default_cluster_needs_no_file() -> None:
    assert ClusterDefinition.from_plain({"name": "local", "provider": "local"}) == ClusterDefinition()
    assert ClusterDefinition().slots is None


def test_a_cluster_survives_the_disk_exactly() -> None:
    cluster = load_cluster(TEXT)
    plain = json.loads(json.dumps(cluster.to_plain()))
    assert plain["slots"] == 4
    assert ClusterDefinition.from_plain(plain) == cluster
    assert ClusterDefinition.from_plain(plain).to_plain() == plain


def test_machines_elsewhere_are_kept_longer_than_an_agent_here() -> None:
    assert load_cluster("slots: 1\n").idle_timeout_s == 15
    assert load_cluster("provider: ssh\nhosts: [a]\n").idle_timeout_s == 300
    assert load_cluster("provider: ssh\nhosts: [a]\nidle_timeout: 1m\n").idle_timeout_s == 60


def test_the_file_gives_the_name(tmp_path: Path) -> None:
    path = tmp_path / "Big Box.yaml"
    path.write_text("slots: 2\n")
    assert load_cluster(path).name == "big-box"


def test_the_workdir_is_the_folder_of_the_file_and_absolute_once_it_was_read(tmp_path: Path) -> None:
    (tmp_path / "clusters").mkdir()
    (tmp_path / "program").mkdir()
    path = tmp_path / "clusters" / "box.yaml"
    path.write_text("slots: 2\n")
    assert load_cluster(path).workdir == str(tmp_path / "clusters")
    path.write_text("workdir: ../program\n")
    cluster = load_cluster(path)
    assert cluster.workdir == str(tmp_path / "program")
    assert ClusterDefinition.from_plain(cluster.to_plain()).workdir == cluster.workdir
    path.write_text("slots: 2\nworkdir: ../programme\n")
    with pytest.raises(DefinitionMistake, match=r"box.yaml:2: workdir: there is no folder .*/programme"):
        load_cluster(path)


def test_programs_are_sent_to_every_provider_but_this_machine() -> None:
    assert not ClusterDefinition().elsewhere
    assert ClusterDefinition.from_plain({"name": "x", "provider": "ssh"}).elsewhere


def test_clouds_and_their_fields_are_not_in_this_version_yet() -> None:
    assert told("provider: aws\n") == [
        (
            "<text>:1: provider: aws is not in this version yet; write local (this machine) or ssh "
            "(machines that you can log in to)"
        )
    ]
    assert told("name: a\nregion: us-east-1\n") == ["<text>:2: region: is not in this version yet"]


def test_all_mistakes_are_told_at_once() -> None:
    assert told("name: A B\nslot: 2\nslots: 0\nidle_timeout: soon\nenv: {A: 1}\nsecrets: [A, 7]\n") == [
        "<text>:1: name: 'A B' is not a name: lower-case letters, digits, - _ and ., at most 63; write a-b",
        "<text>:2: slot: no such field; did you mean 'slots'?",
        "<text>:3: slots: must be at least 1, found 0",
        "<text>:4: idle_timeout: 'soon' is not a duration; write for example 90s, 5m, 1h30m, 2d",
        "<text>:6: secrets.1: expected text, found 7; put it in quotes",
        "<text>:6: secrets.0: A is under env too; keep one of them",
    ]
    assert told("name: A B\nenv: {A: 1}\nsecrets: [A]\n") == [
        "<text>:1: name: 'A B' is not a name: lower-case letters, digits, - _ and ., at most 63; write a-b",
        "<text>:3: secrets.0: A is under env too; keep one of them",
    ]
    assert told("provider: lokal\n") == [
        "<text>:1: provider: there is no provider called 'lokal'; did you mean 'local'?"
    ]


def test_an_unknown_provider_hides_no_other_mistake() -> None:
    assert told("provider: lokal\nslots: 0\nslot: 3\nregion: here\nidle_timeout: soon\n") == [
        "<text>:1: provider: there is no provider called 'lokal'; did you mean 'local'?",
        "<text>:2: slots: must be at least 1, found 0",
        "<text>:3: slot: no such field; did you mean 'slots'?",
        "<text>:5: idle_timeout: 'soon' is not a duration; write for example 90s, 5m, 1h30m, 2d",
    ]


def test_a_misspelt_field_of_the_cluster_itself_gets_a_hint_too() -> None:
    assert told("idle_timout: 5m\n") == ["<text>:1: idle_timout: no such field; did you mean 'idle_timeout'?"]


@dataclass(frozen=True)
class RackOptions:
    shelf: str


class OneRack:
    def provider_names(self) -> list[str]:
        return ["rack"]

    def provider_options(self, name: str) -> type[RackOptions]:
        if name != "rack":
            raise NoSuchName("provider", name, ["rack"])
        return RackOptions


def test_providers_bring_their_own_options() -> None:
    assert load_cluster("provider: rack\nshelf: top\n", providers=OneRack()).options == {"shelf": "top"}
    with pytest.raises(DefinitionMistake, match="shelf: is missing"):
        load_cluster("provider: rack\nname: a\n", providers=OneRack())
