"""A stream of parts is taken however it is cut, and nothing of it that is not whole and right."""

from __future__ import annotations

import hashlib
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustertune.coordinator.part_stream import PartStream
from clustertune.coordinator.storage.contracts import WrongPart

HEAD = "a" * 64


class Taken:
    """A receiver that remembers; ``kept`` are those that were finished."""

    def __init__(self, kept: list[bytes], digest: str) -> None:
        self._kept, self._digest, self._data = kept, digest, bytearray()
        self.abandoned = False

    def write(self, block: bytes) -> None:
        self._data += block

    def finish(self) -> None:
        if hashlib.sha256(self._data).hexdigest() != self._digest:
            raise WrongPart("another digest")
        self._kept.append(bytes(self._data))

    def abandon(self) -> None:
        self.abandoned = True


def stream(parts: list[bytes]) -> bytes:
    return b"".join(f"{hashlib.sha256(part).hexdigest()} {len(part)}\n".encode() + part for part in parts)


@given(parts=st.lists(st.binary(min_size=1, max_size=300), max_size=6), cuts=st.lists(st.integers(0, 2000), max_size=8))
def test_parts_are_the_same_wherever_the_stream_is_cut(parts: list[bytes], cuts: list[int]) -> None:
    data, kept = stream(parts), list[bytes]()
    receiver = PartStream(lambda digest, size: Taken(kept, digest))
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    for start, end in itertools.pairwise(edges):
        receiver.write(data[start:end])
    receiver.finish()
    assert kept == parts


@given(part=st.binary(min_size=1, max_size=50), keep=st.integers(1, 115))
def test_what_breaks_off_keeps_the_whole_parts_and_abandons_the_rest(part: bytes, keep: int) -> None:
    kept, begun = list[bytes](), list[Taken]()

    def begin(digest: str, size: int) -> Taken:
        begun.append(Taken(kept, digest))
        return begun[-1]

    receiver, second = PartStream(begin), stream([b"second"])
    receiver.write(stream([part]) + second[: min(keep, len(second) - 1)])
    with pytest.raises(WrongPart, match="broke off"):
        receiver.finish()
    assert kept == [part]
    assert [taken.abandoned for taken in begun[1:]] in ([], [True])


@pytest.mark.parametrize(
    "data",
    [b"\n", b"x 1\n", f"{HEAD}\n".encode(), f"{HEAD} -1\n".encode(), f"{HEAD} 0\n".encode(), f"{HEAD} 1 1\n".encode(),
     f"{HEAD.upper()} 1\n".encode(), f"{HEAD} \xb2\n".encode("latin-1"), b"a" * 200, b"\xff" * 100, b"../" * 30],
)  # fmt: skip
def test_a_line_that_names_no_part_is_refused(data: bytes) -> None:
    with pytest.raises(WrongPart, match="a line of its digest and its size"):
        PartStream(lambda digest, size: Taken([], digest)).write(data)
