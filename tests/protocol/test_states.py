"""The connection's states are one table, total over what can happen and closed at its end."""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from greenroom.protocol import TRANSITIONS, Event, State, TransitionError, next_state


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("event", Event)
def test_every_pair_is_a_transition_or_refused(state: State, event: Event) -> None:
    if (state, event) in TRANSITIONS:
        assert next_state(state, event) is TRANSITIONS[state, event]
    else:
        with pytest.raises(TransitionError, match=f"{state.name} cannot be {event.value}"):
            next_state(state, event)


def test_closed_has_no_way_out() -> None:
    assert not [pair for pair in TRANSITIONS if pair[0] is State.CLOSED]


def test_every_state_but_the_first_can_be_reached() -> None:
    assert set(TRANSITIONS.values()) == set(State)


class AgainstNaiveModel(RuleBasedStateMachine):
    """Three booleans say the same as the table."""

    def __init__(self) -> None:
        super().__init__()
        self.state = State.DISCONNECTED
        self.socket = self.silent = self.over = False

    @rule(event=st.sampled_from(Event))
    def happens(self, event: Event) -> None:
        needs_socket = event in {Event.RECEIVED, Event.SILENT}
        possible = not self.over and not (event is Event.OPENED and self.socket)
        if not possible or (needs_socket and not self.socket):
            with pytest.raises(TransitionError):
                next_state(self.state, event)
            return
        self.state = next_state(self.state, event)
        self.over = event is Event.ENDED
        self.silent = event is Event.SILENT
        self.socket = event not in {Event.LOST, Event.ENDED}
        assert (self.state is State.CLOSED) == self.over
        assert (self.state is State.UNREACHABLE) == self.silent
        assert (self.state is State.CONNECTED) == (self.socket and not self.silent)


TestAgainstNaiveModel = AgainstNaiveModel.TestCase
