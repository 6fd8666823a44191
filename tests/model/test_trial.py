"""The one table of a trial's legal steps."""

from __future__ import annotations

import pytest

from clustertune.model.errors import InvalidTransition
from clustertune.model.trial import TRIAL_TRANSITIONS, TrialState, attempt_id, check_transition, split_attempt_id


def test_every_state_has_its_row_and_ended_states_lead_nowhere() -> None:
    assert set(TRIAL_TRANSITIONS) == set(TrialState)
    for state, following in TRIAL_TRANSITIONS.items():
        assert state.ended == (not following)


def test_an_illegal_step_raises_and_names_both_states() -> None:
    with pytest.raises(InvalidTransition, match="trial 3 is completed and cannot become running"):
        check_transition(3, TrialState.COMPLETED, TrialState.RUNNING)


def test_a_trial_that_lost_its_machine_may_wait_again() -> None:
    assert check_transition(3, TrialState.RUNNING, TrialState.PENDING) is TrialState.PENDING


@pytest.mark.parametrize("name", ["digits", "digits-2", "a.b:c"])
def test_an_attempts_name_gives_back_its_parts(name: str) -> None:
    assert split_attempt_id(attempt_id(name, 17, 2)) == (name, 17, 2)
