"""What dataclasses may hold to travel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pytest

from clustertune.model.codec import FieldError, from_plain, to_plain


@dataclass(frozen=True)
class Choice:
    model: Literal["gp", "et"] = "gp"


def test_one_of_several_texts_travels_and_no_other_is_read() -> None:
    assert from_plain(Choice, to_plain(Choice("et"))) == Choice("et")
    with pytest.raises(FieldError, match="model: expected one of gp, et, found 'rf'"):
        from_plain(Choice, {"model": "rf"})
