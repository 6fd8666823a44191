"""Files and YAML: every way in which a file can be no definition."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustertune.definition.document import read_document
from clustertune.definition.yaml_reader import parse, parse_value
from clustertune.model.errors import DefinitionMistake, Problem


def mistakes(text: str) -> list[Problem]:
    try:
        return list(parse(text, "x.yaml").problems)
    except DefinitionMistake as mistake:
        return list(mistake.problems)


def only_mistake(text: str) -> str:
    [found] = mistakes(text)
    return str(found)


def file_mistake(path: Path) -> str:
    with pytest.raises(DefinitionMistake) as caught:
        read_document(path)
    return str(caught.value)


def test_a_file_that_cannot_be_read_is_told_why(tmp_path: Path) -> None:
    assert file_mistake(tmp_path / "no.yaml") == f"{tmp_path / 'no.yaml'}: there is no such file"
    assert file_mistake(tmp_path).endswith("is a directory; name the YAML file in it")
    assert "there is no such file" in file_mistake(tmp_path / "a" / "b")
    with pytest.raises(DefinitionMistake, match="cannot be read"):
        read_document("a\0b")


def test_a_file_that_is_no_text_is_told_where(tmp_path: Path) -> None:
    path = tmp_path / "latin.yaml"
    path.write_bytes("name: a\nunit: µm\n".encode("latin-1"))
    assert file_mistake(path) == f"{path}:2: byte 0xb5 is not UTF-8; save the file as UTF-8"
    path.write_bytes(b"name: a\nx: \0\n")
    assert file_mistake(path) == f"{path}:2: character U+0000 cannot stand in YAML; remove it"


def test_a_huge_file_is_refused_before_it_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "huge.yaml"
    path.write_text("# " + "x" * 2_000_000)
    assert "is larger than 1 MiB" in file_mistake(path)
    assert "is larger than 1 MiB" in file_mistake(Path("/dev/zero"))


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "bom.yaml"
    path.write_bytes(b"\xef\xbb\xbfname: a\r\nseed: 1\r\n")
    assert read_document(path).tree == {"name": "a", "seed": 1}


@pytest.mark.parametrize("text", ["\n", "# nothing\n", "---\n", "---\n...\n"])
def test_an_empty_file_is_told_how_to_begin(text: str) -> None:
    assert "the file is empty" in only_mistake(text)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("- a\n- b\n", "x.yaml:1: expected fields (name: value) at the top level, found a list"),
        ("\nhello\n", "x.yaml:2: expected fields (name: value) at the top level, found a single value"),
        ("a:\n\tb: 1\n", "x.yaml:2: a tab stands here; YAML is indented with spaces"),
        ("a: b: c\n", "x.yaml:1: a ':' stands where none can"),
        ("a: 1\nb\n", "x.yaml:3: a ':' is missing"),
        ("a: 1\n  b: 2\n", "x.yaml:2: a ':' stands where none can"),
        ("a: [1, 2\nb: 3\n", "x.yaml:2: a ] or a comma is missing"),
        ("a: {b: {c}, {d}\n", "x.yaml:2: a } or a comma is missing"),
        ("a: 'b\n", "x.yaml:2: a quote is not closed"),
        ("a: *b\n", "x.yaml:1: an alias (*name) has no anchor"),
        ("a: @b\n", "x.yaml:1: text cannot begin with @; put it in quotes"),
        ("a: 1\n---\nb: 2\n", "x.yaml:2: a second document begins here"),
        ('a: "\\d"\n', "x.yaml:1: a backslash before a letter"),
        ("a: 1\nb: 2\na: 3\n", "x.yaml:3: a: occurs twice; the first is on line 1; keep one"),
        ("a:\n  c: 1\n  c: 2\n", "x.yaml:3: a.c: occurs twice; the first is on line 2"),
        ("a: 010\n", 'x.yaml:1: a: 010 is octal to some readers and decimal to others; write 10, 0o10 or "010"'),
        ("a: !!python/object:os.system x\n", "x.yaml:1: a: the tag !!python/object:os.system does not fit 'x'"),
        ("a: !thing [1]\n", "x.yaml:1: a: the tag !thing is not allowed"),
        ("a: &b [*b]\n", "x.yaml:1: a.0: an alias (*) refers to what it stands in"),
        ("a:\n  <<: [1]\n", "x.yaml:2: a: << merges mappings"),
        ("? [a]\n: 1\n", "x.yaml:1: a name must be text, found a list or mapping"),
    ],
)
def test_each_mistake_of_yaml_is_told_in_plain_words_with_its_line(text: str, told: str) -> None:
    assert only_mistake(text).startswith(told)


def test_deep_nesting_is_refused() -> None:
    assert "nested too deeply" in only_mistake("a: " + "[" * 100 + "]" * 100 + "\n")
    assert "nested too deeply" in only_mistake("a: " + "[" * 5000 + "]" * 5000 + "\n")


def test_aliases_cannot_unfold_into_gigabytes() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [" + ", ".join([f"*a{n - 1}"] * 10) + "]" for n in range(1, 10)]
    assert "unfolds into more than 200,000 values; write fewer aliases" in only_mistake("\n".join(lines) + "\n")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4), ("1E5", 1e5), (".5", 0.5), ("3.", 3.0), ("-7", -7), ("+7", 7), ("0x1F", 31), ("0o17", 15),
        ("true", True), ("FALSE", False), ("yes", "yes"), ("no", "no"), ("on", "on"), ("off", "off"), ("y", "y"),
        ("~", None), ("null", None), ("", None), ("1:30", "1:30"), ("2026-11-20", "2026-11-20"), ("1_000", "1_000"),
        ("'5'", "5"), ('"true"', "true"), ("!!str 5", "5"), ("!!float 5.0", 5.0), ("=", "="), ("0", 0), ("-0.0", -0.0),
        ("[1, a]", [1, "a"]), ("{a: 1}", {"a": 1}), ("1e400", float("inf")),
    ],
)  # fmt: skip
def test_plain_words_mean_what_people_mean(text: str, value: object) -> None:
    assert parse_value(text) == value
    assert type(parse_value(text)) is type(value)


def test_names_are_text_whatever_they_look_like() -> None:
    assert parse("on: 1\n1: 2\ntrue: 3\nnull: 4\n", "x").tree == {"on": 1, "1": 2, "true": 3, "null": 4}


def test_anchors_and_merges_work() -> None:
    text = "base: &base {low: 1, high: 2}\na:\n  <<: *base\n  high: 3\nb: *base\n"
    document = parse(text, "x")
    assert document.tree == {"base": {"low": 1, "high": 2}, "a": {"low": 1, "high": 3}, "b": {"low": 1, "high": 2}}
    assert not document.problems


def test_a_problem_stands_at_the_nearest_line_known() -> None:
    document = parse("a:\n  b: 1\n  c: [1,\n    2]\n", "x")
    lines = [document.problem(path, "m").line for path in (("a", "b"), ("a", "z"), ("a", "c", 1), ("q",))]
    assert lines == [2, 1, 4, 0]


@given(st.text(st.sampled_from("ab:-[]{}#&*!|>'\"%@`,? \n\t0123456789.~<"), max_size=40))
def test_any_text_is_a_document_or_a_mistake(text: str) -> None:
    assert isinstance(mistakes(text), list)
