"""The processes of a group leave a checkpoint as rank 0 decided when it began."""

from __future__ import annotations

import threading

import pytest

from clustertune import group, training


@pytest.fixture
def rank(tmp_path, monkeypatch):
    """Makes this process a rank of a group under an agent, whose request says what is given."""
    (tmp_path / "checkpoints").mkdir()
    monkeypatch.setenv("CLUSTERTUNE_PROCESSES", "2")
    monkeypatch.setenv("CLUSTERTUNE_CHECKPOINTS", str(tmp_path / "checkpoints"))
    monkeypatch.setenv("CLUSTERTUNE_SAVE", str(tmp_path / "save"))

    def become(number, wish):
        monkeypatch.setenv("RANK", str(number))
        if wish:
            (tmp_path / "save").write_text(wish)
        return tmp_path / "checkpoints"

    return become


def test_a_pause_that_is_asked_for_while_they_save_waits_for_the_next_time(rank):
    folder = rank(0, "go-on")
    with training.new_checkpoint(3):
        rank(0, "exit")
    assert (folder / "3").is_dir()
    assert training.should_checkpoint()  # it was not answered
    rank(1, "exit")
    with training.new_checkpoint(3):
        pass
    rank(0, "exit")
    with pytest.raises(training.Stopped), training.new_checkpoint(4):
        pass
    rank(1, "exit")
    with pytest.raises(training.Stopped), training.new_checkpoint(4):
        pass


def test_who_leaves_early_waits_until_rank_0_has_saved(rank):
    folder = rank(1, "exit")
    group.decide(folder, 2, "go-on")
    outcome = []
    other = threading.Thread(target=lambda: outcome.append(group.is_to_exit(folder, 3)))
    other.start()
    group.decide(folder, 3, "exit")
    assert outcome == []
    group.leave(folder, 3, "exit")
    other.join(20)
    assert outcome == [True]


def test_without_a_rank_0_that_saves_the_request_decides(rank, monkeypatch):
    monkeypatch.setattr(group, "_PATIENCE_S", 0.0)
    monkeypatch.setattr(group, "_gave_up", False)
    folder = rank(1, "exit")
    assert group.is_to_exit(folder, 3)
    rank(1, "go-on")
    assert not group.is_to_exit(folder, 4)


def test_rank_0_ends_for_a_pause_also_where_the_disk_is_full(rank):
    rank(0, "exit")
    with pytest.raises(training.Stopped), training.new_checkpoint(3):
        raise OSError(28, "No space left on device")
