"""What goes to machines is what git would keep, as git itself says, and what the user takes back in."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

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
