"""Messages on the agent's link: what is sent is what is read, and anything else is refused by name."""

from __future__ import annotations

import json
import math
from dataclasses import fields
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustertune.model import messages as m
from clustertune.model.checkpoint import CheckpointRef, SavedKind
from clustertune.model.errors import ProtocolViolation
from clustertune.model.instance import Gpu, Inventory
from clustertune.model.trial import Ending, EndReason, Report

EXAMPLES: list[Any] = [
    m.Hello(1, "0.1", "local-0", 3, "secret", Inventory(2.0, 2**30, (Gpu(0, "H200", 2**37),), 4), ("a:1:1",)),
    m.Started(1, "a:1:1", 77),
    m.Reports(2, "a:1:1", (Report(1, {"x": math.inf, "y": -math.inf, "z": 1e-300}, 0.5),), ("careful",)),
    m.Ended(3, "a:1:1", Ending(EndReason.RAISED, 1, None, "ValueError: ü", "Trace…", 10, "tail", 1.5, ("n",))),
    m.Held(5, {"a:1:1": ("ab" * 32, "cd" * 32)}),
    m.Saved(4, "a:1:1", SavedKind.CHECKPOINT, 9, "ab" * 32, 2**40, wanted=False),
    m.StoreTrouble(5, "a:1:1", "ab" * 32, "the bucket is gone"),
    m.Described(6, "a:1:1", "cd" * 32, {"packages": ["numpy 2.4"]}, {"data": "s3://x"}),
    m.LogChunk(1, 0, 5, 9, "hello", False),
    m.Welcome(1, 0),
    m.Refused("fenced", "gone"),
    m.Ack(7),
    m.Start(
        "a:1:1",
        {"lr": 0.1, "n": 3, "flag": True, "word": "nan"},
        m.RunSpec("/w", call="a:b", env={"A": "1"}, metrics=(m.MetricPattern("x", "x=(.*)"),), trial_time_s=3.0),
        target=9,
        gpus=(0, 1),
        checkpoint=CheckpointRef("ab" * 32, 3, 12),
    ),
    m.Stop("a:1:1", "paused"),
    m.Go("a:1:1", 27),
    m.Save("a:1:1"),
    m.Store("a:1:1", "ab" * 32),
    m.Discard("a:1:1", ("ab" * 32,)),
    m.LogRequest(1, "a:1:1", -100, 50),
    m.Forget(("a:1:1", "a:2:1")),
    m.Leave("bye"),
]


@pytest.mark.parametrize("message", EXAMPLES, ids=lambda message: type(message).__name__)
def test_what_is_sent_is_what_is_read(message: Any) -> None:
    assert m.decode(m.encode(message)) == message


def test_every_kind_of_message_has_an_example_here() -> None:
    assert {type(x) for x in EXAMPLES} == set(get_args(m.Message))


def test_nan_travels_as_text() -> None:
    frame = m.encode(m.Reports(1, "a:1:1", (Report(1, {"x": math.nan}),)))
    assert json.loads(frame)["reports"][0]["metrics"] == {"x": "nan"}
    decoded = m.decode(frame)
    assert isinstance(decoded, m.Reports)
    assert math.isnan(decoded.reports[0].metrics["x"])


@pytest.mark.parametrize(
    ("frame", "part"),
    [
        ("{", "not JSON"),
        ("[]", "found list"),
        ('{"type": "dance"}', "unknown message type 'dance'"),
        ('{"type": ["ack"]}', "unknown message type"),
        ('{"type": "ack"}', "ack: through is missing"),
        ('{"type": "ack", "through": true}', "ack: through: expected an integer, found True"),
        ('{"type": "ack", "through": 1.0}', "expected an integer"),
        ('{"type": "started", "seq": 1, "attempt": 3, "pid": 1}', "attempt: expected text, found 3"),
        ('{"type": "ended", "seq": 1, "attempt": "a", "ending": {"reason": "bored"}}', "reason: expected one of"),
        (
            '{"type": "reports", "seq": 1, "attempt": "a", "reports": [{"resource": 1, "metrics": {"x": "1"}}]}',
            "metrics",
        ),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_what_is_no_message_is_refused_with_the_field(frame: str, part: str) -> None:
    with pytest.raises(ProtocolViolation, match=part.replace("[", r"\[")):
        m.decode(frame)


def test_a_field_of_a_newer_peer_is_ignored() -> None:
    assert m.decode('{"type": "ack", "through": 3, "mood": "good"}') == m.Ack(3)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(data=st.data())
def test_whatever_stands_in_a_field_it_is_a_message_or_refused(data: st.DataObject) -> None:
    message = data.draw(st.sampled_from(EXAMPLES))
    plain = json.loads(m.encode(message))
    name = data.draw(st.sampled_from([field.name for field in fields(message)]))
    plain[name] = data.draw(JSON)
    try:
        read = m.decode(json.dumps(plain))
    except ProtocolViolation as violation:
        assert name in str(violation)  # noqa: PT017 - either outcome is right
    else:
        assert isinstance(read, type(message))
