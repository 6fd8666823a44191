"""What goes to machines is what git would keep, as git itself says, and what the user takes back in."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from clustertune.client.walk import FoundFile, Walk

_NAMES = st.sampled_from(["a", "b", "ab", "a.py", "b.log", "a b", "#a", "!b", "[a]", "a*", "ä", "-", "build", "a\tb"])
_SEGMENTS = st.sampled_from(
    ["a", "b", "ab", "*", "**", "***", "?", "*.py", "*.log", "a*", "*b", "[ab]", "[!a]", "[^a]", "[a-b]*", "\\#a", "#a",
     "\\!b", "!b", "a b", "a\\*", "[a", "a**", "**b", "ä", "?b", "build", "-", "[[]a]", "a\\", "\\a", "[b-a]", "[]a]",
     "[a\\]b]", "[[:alpha:]]", "[[:nothing:]]", "[[:al", "[!-a]", "[a-]", "a\t"]
)  # fmt: skip
_PATTERNS = st.builds(
    lambda negated, anchored, segments, end: negated + anchored + "/".join(segments) + end,
    st.sampled_from(["", "", "!"]),
    st.sampled_from(["", "", "/"]),
    st.lists(_SEGMENTS, min_size=1, max_size=3),
    st.sampled_from(["", "", "/", " ", "\\ ", "\r", "  ", "/ "]),
)
_TEXTS = st.lists(_PATTERNS | st.sampled_from(["", "# a comment", "/", "!", "//", "!/"]), max_size=5).map("\n".join)
_FOLDERS = st.lists(_NAMES, max_size=2).map("/".join)
_PATHS = st.lists(_NAMES, min_size=1, max_size=4).map("/".join)


def walked(root: Path) -> tuple[set[str], list[str], list[str]]:
    """Paths that go, notices, empty folders."""
    found: list[FoundFile] = []
    walk = Walk(root.resolve(), found.append)
    walk.go()
    assert len({file.path for file in found}) == len(found)
    return {file.path for file in found}, walk.notices, walk.empty_folders


def make(root: Path, files: Mapping[str, str]) -> Path:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return root


def git(folder: Path, *arguments: str) -> str:
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1", "HOME": str(folder)}
    environment["XDG_CONFIG_HOME"] = str(folder)
    return subprocess.run(
        ["git", "-C", str(folder), *arguments], env=environment, capture_output=True, text=True, check=True
    ).stdout


def kept_by_git(folder: Path) -> set[str]:
    return set(filter(None, git(folder, "ls-files", "-o", "--exclude-standard", "-z").split("\0")))


@settings(max_examples=150, deadline=None)
@given(
    paths=st.sets(_PATHS, min_size=1, max_size=12),
    ignoring=st.dictionaries(_FOLDERS, _TEXTS, min_size=1, max_size=3),
    exclude=_TEXTS,
    within=_FOLDERS,
)
@example(paths={"a/b/ab"}, ignoring={"": "a/*\n!a/b\n"}, exclude="", within="")
@example(paths={"build/a", "b/build"}, ignoring={"": "build\n", "b": "!build"}, exclude="", within="")
@example(paths={"a/a.py", "a/b.log", "b"}, ignoring={"": "*\n!*/\n!*.py\n"}, exclude="", within="")
@example(paths={"a/b"}, ignoring={"": "a\n"}, exclude="!a", within="")
@example(paths={"a/b/b.log", "a/b/a"}, ignoring={"": "*.log\n/a/b/a\n"}, exclude="b", within="a")
def test_the_files_that_go_are_those_that_git_does_not_ignore(
    paths: set[str], ignoring: dict[str, str], exclude: str, within: str
) -> None:
    with tempfile.TemporaryDirectory() as name:
        top = Path(name)
        git(top, "init", "-q")
        (top / ".git" / "info" / "exclude").write_text(exclude, newline="")
        for path in sorted(paths, key=len):
            if not any((top / part).is_file() for part in Path(path).parents) and not (top / path).is_dir():
                make(top, {path: ""})
        for folder, text in ignoring.items():
            if not any(part.is_file() for part in (top / folder, *(top / folder).parents)):
                (top / folder).mkdir(parents=True, exist_ok=True)
                (top / folder / ".gitignore").write_text(text, newline="")
        root = top / within
        if not root.is_dir():
            root = top
        folder_itself_is_out = (
            root != top
            and subprocess.run(
                ["git", "-C", str(top), "check-ignore", "-q", "--no-index", str(root)], check=False, timeout=20
            ).returncode
            == 0
        )
        if not folder_itself_is_out:
            assert walked(root)[0] == kept_by_git(root)


def test_without_a_repository_the_ignore_files_of_the_folder_itself_hold(tmp_path: Path) -> None:
    make(tmp_path, {".gitignore": "data\n", "data/big": "", "train.py": "", "lib/.gitignore": "*.o\n", "lib/a.o": ""})
    assert walked(tmp_path)[0] == {".gitignore", "lib/.gitignore", "train.py"}


def test_what_nobody_means_to_send_stays_whatever_gitignore_says(tmp_path: Path) -> None:
    files = {".git/HEAD": "", ".venv/bin/python": "", "lib/__pycache__/a.pyc": "", "lib/a.py": "", "sub/.git": ""}
    make(tmp_path, {**files, ".gitignore": "!.venv\n!__pycache__\n!.git\n"})
    assert walked(tmp_path)[0] == {".gitignore", "lib/a.py"}


def test_a_file_of_ours_adds_to_gitignore_and_takes_back_in_even_from_folders_that_are_left_out(tmp_path: Path) -> None:
    files = {
        ".gitignore": "data/\n*.bin\n",
        ".clustertuneignore": "notes\n!model.bin\n!/data/small/one.csv\n!/data/whole/\n!__pycache__/\n.git*\n",
        "notes/a": "", "model.bin": "", "other.bin": "", "data/big.csv": "", "data/small/one.csv": "",
        "data/small/two.csv": "", "data/whole/a.csv": "", "data/whole/deep/b.csv": "", "__pycache__/x.pyc": "",
    }  # fmt: skip
    make(tmp_path, files)
    paths, notices, empty = walked(tmp_path)
    assert paths == {
        ".clustertuneignore", "model.bin", "data/small/one.csv", "data/whole/a.csv", "data/whole/deep/b.csv",
        "__pycache__/x.pyc",
    }  # fmt: skip
    assert (notices, empty) == ([], [])


def test_a_gitignore_deeper_down_does_not_undo_what_ours_takes_back_in(tmp_path: Path) -> None:
    make(
        tmp_path, {".clustertuneignore": "!/out/best.pt\n", "out/.gitignore": "*\n", "out/best.pt": "", "out/x.pt": ""}
    )
    assert walked(tmp_path)[0] == {".clustertuneignore", "out/best.pt"}


def test_a_folder_that_its_repository_ignores_is_sent_by_its_own_rules(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    make(tmp_path, {".gitignore": "*\n", "mine/.gitignore": "*.log\n", "mine/a.log": "", "mine/a.py": ""})
    assert walked(tmp_path / "mine")[0] == {".gitignore", "a.py"}


def test_a_worktree_has_the_exclude_file_of_its_repository(tmp_path: Path) -> None:
    main, tree = tmp_path / "main", tmp_path / "tree"
    main.mkdir()
    git(main, "init", "-q")
    identity = ("-c", "user.name=x", "-c", "user.email=x@example.org")
    git(main, *identity, "commit", "-q", "--allow-empty", "-m", "first")
    git(main, "worktree", "add", "-q", str(tree))
    (main / ".git" / "info" / "exclude").write_text("*.log\n")
    make(tree, {"a.log": "", "a.py": ""})
    assert walked(tree)[0] == kept_by_git(tree) == {"a.py"}


def test_links_inside_are_followed_and_those_that_lead_elsewhere_are_left_out_and_named(tmp_path: Path) -> None:
    root = make(tmp_path / "root", {"lib/a.py": "a", "hidden/b": "b", ".gitignore": "hidden/\n"})
    make(tmp_path, {"outside/secret": "s"})
    for name, target in {
        "code": "lib", "one.py": "lib/a.py", "out": "../outside", "absolute": "/etc/passwd", "gone": "nothing",
        "lib/up": "..", "self": "self", "again": "hidden/b", "repository": ".git/HEAD",
    }.items():  # fmt: skip
        (root / name).symlink_to(target)
    make(root, {".git/HEAD": ""})
    paths, notices, _ = walked(root)
    assert paths == {".gitignore", "lib/a.py", "code/a.py", "one.py"}
    told = "\n".join(notices)
    assert told.count("a link that leads out") == 2
    assert told.count("a link to a folder around it") == 2  # lib/up, and the same by code/up
    assert told.count("a link to nothing") == 2
    assert told.count("a link to something that is left out itself") == 2


def test_what_is_no_file_and_what_has_no_name_for_others_stays_and_is_named(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
    (tmp_path / "a\\b").touch()
    Path(os.fsdecode(bytes(tmp_path) + b"/\xff")).touch()
    (tmp_path / "line\nend ü").touch()
    paths, notices, _ = walked(tmp_path)
    assert paths == {"line\nend ü"}
    assert len(notices) == 4
    assert sum("neither a file nor a folder" in notice for notice in notices) == 2
    assert sum("give it another name" in notice for notice in notices) == 2


def test_empty_folders_go_too_but_not_those_that_were_only_looked_into(tmp_path: Path) -> None:
    make(tmp_path, {".gitignore": "*.log\nout/\n", ".clustertuneignore": "!/out/x/best\n", "logs/a.log": ""})
    make(tmp_path, {"out/x/other": "", "out/y": ""})
    assert walked(tmp_path)[2] == ["logs"]


def test_a_walk_ends_at_a_depth_that_nobody_means(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["d"] * 120)
    deep.mkdir(parents=True)
    (deep / "x").touch()
    paths, notices, _ = walked(tmp_path)
    assert (paths, len(notices)) == (set(), 1)
    assert "folders deep" in notices[0]


@pytest.mark.parametrize("kind", ["folder", "link", "fifo"])
def test_an_ignore_file_that_is_none_leaves_out_nothing(kind: str, tmp_path: Path) -> None:
    make(tmp_path, {"a": "", "patterns": "a\n"})
    path = tmp_path / ".gitignore"
    if kind == "folder":
        path.mkdir()
    elif kind == "link":
        path.symlink_to("patterns")  # git does not follow it either
    else:
        os.mkfifo(path)
    assert "a" in walked(tmp_path)[0]


def test_an_ignore_file_of_garbage_is_borne(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_bytes(b"\xef\xbb\xbfa\r\n" + bytes(range(256)) + b"\n[\n\\\n!\n**\\\n[[:x:]]\n" * 3)
    make(tmp_path, {"a": "", "b": ""})
    assert walked(tmp_path)[0] == {".gitignore", "b"}


def test_an_ignore_file_that_cannot_be_read_is_named() -> None:
    with tempfile.TemporaryDirectory() as name:
        root = make(Path(name), {".gitignore": "a\n", "a": ""})
        (root / ".gitignore").chmod(0)
        root.chmod(0o755)
        myself = os.geteuid()
        os.seteuid(65534 if myself == 0 else myself)  # root may read everything
        try:
            paths, notices, _ = walked(root)
        finally:
            os.seteuid(myself)
    assert "a" in paths
    assert "what it leaves out is not: make it readable" in notices[0]
