"""One connection in one room: each message once, in order, none of its own."""

from support.cast_pieces import Sink, message, remembered

from greenroom.actors.connection.subscription import Subscription, SubscriptionState
from greenroom.actors.ports import Head
from greenroom.actors.room.batch import Batch
from greenroom.protocol import JSON_CODEC


def subscription(user: str = "ann", *, at: int | None = 0) -> Subscription:
    made = Subscription(
        room="lobby",
        session="s",
        user=user,
        connection=None,
        codec=JSON_CODEC,
        outbox=Sink(),
    )
    if at is not None:
        made.open(Head("e", at))
    return made


def batch(first: int, last: int, sender=None) -> Batch:
    messages = [message(offset) for offset in range(first, last + 1)]
    return Batch(messages, [sender] * len(messages))


def test_nothing_passes_before_it_is_opened_or_after_it_is_closed():
    member = subscription(at=None)
    assert member.deliver(batch(1, 2)) == (0, True)
    member.open(Head("e", 0))
    assert member.deliver(batch(1, 2)) == (2, True)
    member.close()
    assert member.deliver(batch(3, 3)) == (0, True)
    assert not member.push(b"x")
    assert member.outbox.offsets() == [1, 2]
    assert member.state is SubscriptionState.CLOSED


def test_what_was_delivered_is_discarded_when_it_comes_again():
    member = subscription()
    member.deliver(batch(1, 3))
    member.deliver(batch(2, 5))
    member.replay([remembered(4), remembered(5), remembered(6)])
    assert member.outbox.offsets() == [1, 2, 3, 4, 5, 6]


def test_own_messages_are_passed_over_and_not_replayed():
    member = subscription()
    assert member.deliver(batch(1, 1, sender=member)) == (0, True)
    assert member.next_offset == 2
    member.replay([remembered(1), remembered(2)])
    assert member.outbox.offsets() == [2]


def test_a_replay_leaves_out_what_has_no_ack_yet():
    member = subscription("ann")
    member.unanswered["mine"] = False
    member.replay([remembered(1, user="ann", key="mine"), remembered(2, user="bob", key="mine")])
    assert member.outbox.offsets() == [2]


def test_a_replay_leaves_out_what_was_acknowledged_before_it_was_delivered():
    member = subscription("ann")
    member.unanswered["mine"] = False
    member.acknowledged("mine", 1)
    member.replay([remembered(1, user="ann", key="mine"), remembered(2, user="bob")])
    assert member.outbox.offsets() == [2]


def test_a_replay_brings_what_an_echo_was_asked_for():
    member = subscription("ann")
    member.unanswered["mine"] = True
    member.acknowledged("mine", 1)
    member.replay([remembered(1, user="ann", key="mine")])
    assert member.outbox.offsets() == [1]


def test_the_users_other_tab_gets_it_in_a_replay_too():
    tab = subscription("ann")
    tab.replay([remembered(1, user="ann", key="mine")])
    assert tab.outbox.offsets() == [1]


def test_a_full_outbox_is_reported_with_what_was_due():
    member = subscription()
    member.outbox.full = True
    assert member.deliver(batch(1, 3)) == (3, False)
