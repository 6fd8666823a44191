"""How values get into a command."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustertune.agent.command import fill

CONFIG = {"lr": 1e-05, "hidden": 64, "nesterov": True, "solver": "sgd"}


def test_values_are_filled_in_where_they_are_named():
    assert fill("python train.py --lr {lr} --h={hidden} {solver}", CONFIG) == [
        "python", "train.py", "--lr", "1e-05", "--h=64", "sgd",
    ]  # fmt: skip


def test_args_are_all_values_as_two_entries_each():
    assert fill("train {args}", {"lr": 0.5, "nesterov": False}) == ["train", "--lr", "0.5", "--nesterov", "false"]
    assert fill("train 'all: {args}'", {"lr": 0.5, "b": 2}) == ["train", "all: --lr 0.5 --b 2"]


def test_double_braces_are_braces_and_other_braces_stay():
    assert fill("x {{lr}} '{\"a\": 1}' {{{lr}}}", {"lr": 2}) == ["x", "{lr}", '{"a": 1}', "{2}"]


def test_an_inactive_parameter_is_empty_and_its_own_entry_is_dropped():
    assert fill("x {momentum} m={momentum} {lr}", {"lr": 2}) == ["x", "m=", "2"]


def test_quotes_keep_words_together_and_values_never_split():
    assert fill("'my program' \"{name}\" {name}", {"name": "a b; rm -rf *"}) == ["my program", *["a b; rm -rf *"] * 2]


def test_a_shell_gets_quoted_values():
    assert fill("echo {name} | cat", {"name": "a b; c"}, shell=True) == ["/bin/sh", "-c", "echo 'a b; c' | cat"]


@pytest.mark.parametrize("command", ["", "  ", "{momentum}", "echo 'open"])
def test_a_command_that_cannot_be_run_says_so(command):
    with pytest.raises(ValueError, match="command"):
        fill(command, {})


@given(st.dictionaries(st.from_regex(r"[a-z_][a-z0-9_]{0,5}", fullmatch=True).filter(lambda n: n != "args"), st.text(
    st.characters(blacklist_characters="\0", blacklist_categories=["Cs"])), min_size=1))  # fmt: skip
def test_every_value_reaches_the_program_as_it_is(config):
    command = "x " + " ".join(f"{{{name}}}" for name in config)
    assert fill(command, config) == ["x", *config.values()]
    assert shlex.split(fill(command, config, shell=True)[2]) == ["x", *config.values()]
