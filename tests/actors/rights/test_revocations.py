"""Who was thrown out, and for how long: decided without a clock, a store or a node."""

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.actors.rights.revocations import MARGIN_MS, Revocation, Revocations
from greenroom.protocol import Claims

HOUR = 3600.0
NOW = 1_800_000_000.0


def claims(user="ann", *, issued=NOW - 60, id=None, expires=NOW + HOUR) -> Claims:
    return Claims(subject=user, issued_at=issued, token_id=id, expires_at=expires)


def revoked_user(user="ann", *, now=NOW) -> Revocations:
    revocations = Revocations(keep_seconds=HOUR)
    revocations.add(revocations.of_user(user, now=now))
    return revocations


@pytest.mark.parametrize(
    ("issued", "revoked"),
    [(NOW - 1, True), (NOW, True), (None, True), (NOW + 0.001, False), (NOW + 60, False)],
)
def test_a_user_s_tokens_are_refused_that_were_issued_up_to_the_moment(issued, revoked):
    assert revoked_user().revoked(claims(issued=issued)) is revoked


def test_a_token_issued_within_the_same_millisecond_counts_as_issued_before():
    revocations = revoked_user(now=NOW + 0.0001)
    assert revocations.revoked(claims(issued=NOW + 0.0009))


def test_nobody_else_is_revoked():
    revocations = revoked_user()
    revocations.add(revocations.of_token("t1", expires=None, now=NOW))
    assert not revocations.revoked(claims("Ann"))
    assert not revocations.revoked(claims("bob", id="t2"))
    assert not revocations.revoked(claims("t1"))


def test_all_names_of_one_user_are_revoked_together_whoever_wrote_which():
    revocations = Revocations(keep_seconds=HOUR, one_user=str.casefold)
    revocations.add(revocations.of_user("ANN", now=NOW))
    elsewhere = Revocations(keep_seconds=HOUR).of_user("BoB", now=NOW)
    assert [one.user for one in revocations.learn([elsewhere])] == ["bob"]
    assert revocations.learn([elsewhere]) == []
    for name in ("ann", "Ann", "BOB"):
        assert revocations.revoked(claims(name))
    assert not revocations.revoked(claims("anna"))


def test_a_token_is_refused_by_its_id_whenever_it_was_issued():
    revocations = Revocations(keep_seconds=HOUR)
    revocations.add(revocations.of_token("t1", expires=NOW + 60, now=NOW))
    assert revocations.revoked(claims(id="t1", issued=NOW + 30))
    assert not revocations.revoked(claims(id=None))


def test_the_later_moment_and_the_longer_time_of_two_revocations_count():
    revocations = revoked_user(now=NOW)
    earlier = attrs.evolve(revocations.of_user("ann", now=NOW - 100), until_ms=int(NOW * 1000))
    revocations.add(earlier)
    assert revocations.revoked(claims(issued=NOW))
    revocations.expire(now=NOW + HOUR - 1)
    assert len(revocations) == 1


def test_a_revocation_is_kept_until_every_token_that_it_is_about_has_expired():
    revocations = revoked_user()
    revocations.add(revocations.of_token("t1", expires=NOW + 60, now=NOW))
    revocations.expire(now=NOW + 60)
    assert len(revocations) == 2, "clocks differ a little"
    revocations.expire(now=NOW + 60 + MARGIN_MS / 1000)
    assert len(revocations) == 1
    revocations.expire(now=NOW + HOUR + MARGIN_MS / 1000)
    assert len(revocations) == 0
    assert revocations.unsaved == ()


def test_a_revoked_token_that_lives_longer_than_thought_has_its_revocation_kept_as_long():
    revocations = revoked_user()
    year = NOW + 365 * 24 * HOUR
    assert revocations.revoked(claims(expires=year))
    revocations.expire(now=year - 1)
    assert revocations.revoked(claims(expires=year))
    (unsaved,) = revocations.unsaved
    assert unsaved.until_ms == int(year * 1000)


def test_who_is_in_is_out_whatever_an_issuer_s_clock_made_of_it():
    """The token says that it was issued 30 s from now; it was found good 5 s ago."""
    revocations = revoked_user()
    ahead = claims(issued=NOW + 30)
    assert not revocations.revoked(ahead)
    assert revocations.revoked(ahead, verified_at=NOW - 5)
    assert revocations.revoked(ahead), "nor does it come in again"
    assert not revocations.revoked(claims(issued=NOW + 31))


def test_what_is_saved_stands_in_unsaved_no_more_unless_it_changed_meanwhile():
    revocations = revoked_user()
    before = revocations.unsaved
    revocations.add(revocations.of_user("ann", now=NOW + 1))
    revocations.saved(before)
    (unsaved,) = revocations.unsaved
    revocations.saved([unsaved])
    assert revocations.unsaved == ()
    assert revocations.learn([unsaved]) == []
    assert revocations.revoked(claims(issued=NOW + 1))


@pytest.mark.parametrize(
    "whom",
    [{}, {"user": "ann", "token_id": "t"}, {"user": ""}, {"user": "a\0b"}]
    + [{"token_id": id} for id in ("", "x" * 256, "a\nb", "\0", "eyJhbGci.eyJzdWIi.c2ln")],
)
def test_a_revocation_of_nobody_is_refused(whom):
    with pytest.raises(ValueError, match=r"user|id"):
        Revocation(**whom, at_ms=0, until_ms=0)


revocations_of_few = st.builds(
    lambda name, by_user, at, life: Revocation(
        user=name if by_user else None,
        token_id=None if by_user else name,
        at_ms=at,
        until_ms=at + life,
    ),
    st.sampled_from(["a", "b"]),
    st.booleans(),
    st.integers(0, 20_000),
    st.integers(0, 20_000),
)


@given(
    st.lists(revocations_of_few),
    st.sampled_from(["a", "b", "c"]),
    st.none() | st.integers(0, 20),
    st.none() | st.sampled_from(["a", "b"]),
)
def test_the_order_in_which_they_come_does_not_matter(said, user, issued, id):
    token = Claims(subject=user, issued_at=issued, token_id=id, expires_at=0.0)
    forward, backward = Revocations(keep_seconds=1), Revocations(keep_seconds=1)
    for one in said:
        forward.add(one)
    backward.learn(reversed(said))
    expected = any(
        (one.user == user and (issued or 0) * 1000 <= one.at_ms)
        or (id is not None and one.token_id == id)
        for one in said
    )
    assert forward.revoked(token) == backward.revoked(token) == expected
    assert {one.whom for one in forward.unsaved} == {one.whom for one in said}
