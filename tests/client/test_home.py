"""Where things are on this machine."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from clustertune.client.home import Home, Record, make_private
from clustertune.model.errors import Mistake


def test_the_environment_names_the_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CLUSTERTUNE_HOME", str(tmp_path / "here"))
    assert Home.from_environment().path == tmp_path / "here"


def test_without_the_environment_it_is_in_the_users_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CLUSTERTUNE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Home.from_environment().path == tmp_path / ".clustertune"


def test_folders_are_made_for_their_user_alone(tmp_path: Path) -> None:
    make_private(tmp_path / "a" / "b")
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o700


def test_a_file_in_the_way_of_a_folder_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    with pytest.raises(Mistake, match="set CLUSTERTUNE_HOME"):
        make_private(tmp_path / "a" / "b")


def test_a_record_is_read_back(tmp_path: Path) -> None:
    folder = Home(tmp_path).cluster("local")
    folder.path.mkdir(parents=True)
    plain = {"pid": 5, "port": 4000, "version": "0.1.0", "protocol": 1, "started": 1.5}
    (folder.path / "coordinator.json").write_text(json.dumps(plain))
    assert folder.record() == Record(pid=5, port=4000, version="0.1.0", protocol=1, started=1.5)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": "x"}'])
def test_a_broken_record_counts_as_none(tmp_path: Path, text: str) -> None:
    folder = Home(tmp_path).cluster("local")
    folder.path.mkdir(parents=True)
    (folder.path / "coordinator.json").write_text(text)
    assert folder.record() is None


def test_clusters_are_those_with_a_definition(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.cluster("b").store_definition({"name": "b"})
    home.cluster("a").store_definition({"name": "a"})
    (tmp_path / "clusters" / "stray").mkdir()
    assert [folder.name for folder in home.clusters()] == ["a", "b"]
    assert home.cluster("a").stored_definition() == {"name": "a"}


def test_a_broken_cluster_definition_says_to_delete_it(tmp_path: Path) -> None:
    folder = Home(tmp_path).cluster("local")
    folder.store_definition({})
    folder.definition.write_text("{")
    with pytest.raises(Mistake, match="delete it"):
        folder.stored_definition()
