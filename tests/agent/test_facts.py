"""What a program says of itself is kept within bounds."""

from __future__ import annotations

from clustertune.agent.facts import Facts
from clustertune.model.messages import Described
from clustertune.model.trial import EndReason


def test_only_what_is_new_goes_on():
    facts = Facts()
    assert facts.take({"data": "a", "rows": "1"}) == ({"data": "a", "rows": "1"}, [])
    assert facts.take({"data": "a", "rows": "2"}) == ({"rows": "2"}, [])
    assert facts.take({"data": "a"}) == ({}, [])


def test_what_is_too_much_is_left_out_and_told():
    facts = Facts()
    fresh, notices = facts.take({"x" * 101: "1", "big": "y" * 2000, "ok": "z"})
    assert fresh == {"big": "y" * 1000, "ok": "z"}
    assert len(notices) == 2
    fresh, notices = facts.take({str(number): "v" for number in range(300)})
    assert len(fresh) == 98
    assert len(notices) == 1
    fresh, notices = {}, []
    for number in range(2000):
        more, told = facts.take({"ok": str(number)})
        fresh, notices = {**fresh, **more}, notices + told
    assert fresh == {"ok": "899"}
    assert len(set(notices)) == 1


def test_a_program_that_describes_without_end_is_sent_once_each_and_its_secrets_are_not(in_rig):
    async def scenario(rig):
        body = """
for number in range(300):
    clustertune.describe(**{f"name{number}": "v" * 1000})
    clustertune.describe(again="same", long="x" * 995 + os.environ["TOKEN"])
"""
        ending = await rig.go(rig.call(body, secrets={"TOKEN": "hunter2hunter2"}))
        assert ending.reason is EndReason.RETURNED
        sent = [m.told for m in rig.coordinator.seen.values() if isinstance(m, Described)]
        assert sum(map(len, sent)) == len(rig.coordinator.told("digits:0:1")) == 100
        assert "hunter" not in str(sent)
        assert len(rig.coordinator.notices("digits:0:1")) == 2

    in_rig(scenario)
