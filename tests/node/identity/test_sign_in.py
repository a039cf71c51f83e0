"""Who gets a token for a password, with fakes for the database, the hash and the clock."""

import attrs
import pytest
import trio
import trio.testing
from support.accounts_world import SECRET, World

from greenroom.actors.ports import StoreUnavailable
from greenroom.node.identity.names import NameRefused
from greenroom.node.identity.passwords import HasherBusy, PasswordRefused, Verdict
from greenroom.node.identity.sign_in import RENEWED_BEFORE_SECONDS, NotSignedIn, WrongPassword
from greenroom.node.identity.throttle import Throttled
from greenroom.node.storage.accounts import NameTaken
from greenroom.protocol import issue_token

HERE = "192.0.2.1"


@pytest.fixture
def world():
    made = World()
    made.put("Ann", "correct horse")
    return made


async def refusal(attempt):
    """What somebody is told, word for word."""
    with pytest.raises(Exception) as caught:  # noqa: PT011  # its kind is what is asked for
        await attempt
    return type(caught.value), str(caught.value)


async def test_name_and_password_get_a_token_under_the_registered_name(world):
    for spelled in ("Ann", " ANN ", "\uff41nn"):
        signed_in = await world.accounts.sign_in(spelled, "correct horse", address=HERE)
        assert signed_in.user == "Ann"
        assert world.verify(signed_in.token, world.now).subject == "Ann"


@pytest.mark.parametrize(
    "name", ["Ann", "nobody", "off", "", "x" * 500, None, 7, "a\u202eb", "\ufdfa" * 60]
)
async def test_no_name_is_told_from_any_other(world, name):
    """Wrong password, no account, disabled account, no name at all: one answer after one work."""
    world.put("off", "wrong horse", disabled=True)
    told = await refusal(world.accounts.sign_in(name, "wrong horse", address=HERE))
    assert told == (WrongPassword, "")
    assert world.work == ["find", "verify"]


async def test_no_database_is_asked_for_a_name_with_a_nul(world, monkeypatch):
    """PostgreSQL knows no text with U+0000 and refuses the question."""
    asked = []
    find = world.store.find

    async def noted(key):
        asked.append(key)
        return await find(key)

    monkeypatch.setattr(world.store, "find", noted)
    told = await refusal(world.accounts.sign_in("An\0n", "wrong horse", address=HERE))
    assert told == (WrongPassword, "")
    assert asked == [""]


@pytest.mark.parametrize("name", ["Ann", "nobody"])
async def test_who_guesses_waits_whether_or_not_there_is_such_an_account(world, name):
    for _ in range(3):
        assert await refusal(world.accounts.sign_in(name, "no", address=HERE)) == (
            WrongPassword,
            "",
        )
    world.work.clear()
    with pytest.raises(Throttled) as caught:
        await world.accounts.sign_in(name, "no", address=HERE)
    assert caught.value.retry_after_seconds == pytest.approx(1200)
    assert world.work == []
    world.now += 1200
    assert (await refusal(world.accounts.sign_in(name, "no", address=HERE)))[0] is WrongPassword


async def test_who_guesses_keeps_nobody_else_out(world):
    for _ in range(100):
        await refusal(world.accounts.sign_in("Ann", "no", address="198.51.100.66"))
    assert await world.accounts.sign_in("Ann", "correct horse", address=HERE)


async def test_what_is_the_node_s_fault_costs_no_try(world):
    world.hasher.busy = True
    for _ in range(5):
        assert (await refusal(world.accounts.sign_in("Ann", "no", address=HERE)))[0] is HasherBusy
    world.hasher.busy, world.store.away = False, True
    for _ in range(5):
        told = await refusal(world.accounts.sign_in("Ann", "no", address=HERE))
        assert told[0] is StoreUnavailable
    world.store.away = False
    assert await world.accounts.sign_in("Ann", "correct horse", address=HERE)


async def test_the_database_is_asked_no_faster_than_passwords_are_compared(world):
    """From any number of addresses: five are under way here, and one more asks nobody anything."""
    go_on = trio.Event()

    async def slow(_stored, _password):
        await go_on.wait()
        return Verdict(matches=False)

    world.hasher.verify = slow
    async with trio.open_nursery() as nursery:
        for n in range(5):
            nursery.start_soon(refusal, world.accounts.sign_in("Ann", "no", address=f"192.0.2.{n}"))
        await trio.testing.wait_all_tasks_blocked()
        told = await refusal(world.accounts.sign_in("Ann", "no", address="192.0.2.9"))
        assert told[0] is HasherBusy
        assert world.work == ["find"] * 5
        go_on.set()
    del world.hasher.verify
    assert await world.accounts.sign_in("Ann", "correct horse", address="192.0.2.9")


async def test_who_leaves_in_the_middle_has_had_a_try(world):
    """A guesser who hangs up before the answer would guess for ever otherwise."""
    for _ in range(3):
        with trio.CancelScope() as scope:
            world.hasher.meanwhile = scope.cancel
            await world.accounts.sign_in("Ann", "no", address=HERE)
    world.hasher.meanwhile = None
    assert (await refusal(world.accounts.sign_in("Ann", "no", address=HERE)))[0] is Throttled


async def test_a_hash_of_other_parameters_is_made_anew_at_the_next_sign_in(world):
    world.put("bob", "x", password_hash="old:long enough", changed_ms=5)
    for _ in range(2):
        await world.accounts.sign_in("bob", "long enough", address=HERE)
    assert world.work == ["find", "verify", "hash", "replace", "find", "verify"]
    assert world.store.accounts["bob"].password_hash == "new:long enough"
    assert world.store.accounts["bob"].changed_ms == 5


async def test_who_is_disabled_while_signing_in_has_a_token_that_is_no_good(world):
    """The command writes the account and the revocation; the node looked at neither again."""

    def disable():
        world.put("Ann", "correct horse", disabled=True)
        world.now += 0.2
        world.revoke("Ann")

    world.hasher.meanwhile = disable
    signed_in = await world.accounts.sign_in("Ann", "correct horse", address=HERE)
    assert not world.good(signed_in)


async def test_somebody_new_registers_and_is_signed_in(world):
    signed_in = await world.accounts.register("  Bob  B ", "long enough", address=HERE)
    assert (signed_in.user, world.good(signed_in)) == ("Bob B", True)
    assert await world.accounts.sign_in("bob b", "long enough", address=HERE)


async def test_a_name_that_is_taken_costs_as_much_as_one_that_is_free(world):
    with pytest.raises(NameTaken):
        await world.accounts.register("ANN", "long enough", address=HERE)
    taken, world.work = world.work, []
    await world.accounts.register("bob", "long enough", address=HERE)
    assert world.work == taken == ["hash", "add"]


async def test_one_address_asks_for_few_names(world):
    for name in ("ann", "bob"):
        await refusal_or_token(world.accounts.register(name, "long enough", address=HERE))
    with pytest.raises(Throttled):
        await world.accounts.register("eve", "long enough", address=HERE)
    assert await world.accounts.register("eve", "long enough", address="198.51.100.7")


async def refusal_or_token(attempt):
    try:
        return await attempt
    except NameTaken as taken:
        return taken


async def test_what_can_not_be_registered_is_said_before_any_work(world):
    with pytest.raises(NameRefused, match="guests"):
        await world.accounts.register("guest:bob", "long enough", address=HERE)
    with pytest.raises(PasswordRefused, match="at least 8"):
        await world.accounts.register("bob", "short", address=HERE)
    assert world.work == []


async def test_a_guest_s_token_ends_when_somebody_makes_an_account_of_the_name():
    """On a development node guests have bare names."""
    world = World(claim_names=True)
    guest = world.issue("Bob", now=world.now, token_id="g1")
    signed_in = await world.accounts.register("Bob", "long enough", address=HERE)
    assert not world.good(guest)
    assert world.good(signed_in)


async def test_a_new_password_ends_all_tokens_but_the_one_it_brings(world):
    here = await world.accounts.sign_in("Ann", "correct horse", address=HERE)
    there = await world.accounts.sign_in("Ann", "correct horse", address=HERE)
    world.now += 1
    fresh = await world.accounts.change_password(
        here.token, "correct horse", "battery staple", address=HERE
    )
    assert [world.good(each) for each in (here, there, fresh)] == [False, False, True]
    assert await world.accounts.sign_in("Ann", "battery staple", address=HERE)
    told = await refusal(world.accounts.sign_in("Ann", "correct horse", address=HERE))
    assert told[0] is WrongPassword


async def test_a_token_alone_changes_no_password(world):
    signed_in = await world.accounts.sign_in("Ann", "correct horse", address=HERE)
    for _ in range(3):
        told = await refusal(
            world.accounts.change_password(signed_in.token, "no", "battery staple", address=HERE)
        )
        assert told[0] is WrongPassword
    with pytest.raises(Throttled):
        await world.accounts.change_password(signed_in.token, "no", "battery staple", address=HERE)
    assert world.store.accounts["ann"].password_hash == "new:correct horse"


async def test_of_two_changes_at_once_one_loses(world):
    signed_in = await world.accounts.sign_in("Ann", "correct horse", address=HERE)
    world.hasher.meanwhile = lambda: world.put("Ann", "somebody was quicker")
    told = await refusal(
        world.accounts.change_password(
            signed_in.token, "correct horse", "battery staple", address=HERE
        )
    )
    assert told[0] is WrongPassword
    assert world.store.accounts["ann"].password_hash == "new:somebody was quicker"


@pytest.mark.parametrize("change", [{"disabled": True}, {"password_hash": "new:the operator's"}])
async def test_who_is_disabled_or_given_a_password_while_changing_it_gets_no_token(world, change):
    """A token of a later moment than that would outlive it."""
    signed_in = await world.accounts.sign_in("Ann", "correct horse", address=HERE)

    async def revoke_user(user):
        world.revoke(user)
        # Another process, while this one waits for the database.
        world.store.accounts["ann"] = attrs.evolve(world.store.accounts["ann"], **change)
        world.revoke(user)

    world.accounts.revoke_user = revoke_user
    told = await refusal(
        world.accounts.change_password(
            signed_in.token, "correct horse", "battery staple", address=HERE
        )
    )
    assert told == (WrongPassword, "")


async def test_a_token_is_renewed_without_the_password_until_the_sign_in_is_too_old(world):
    signed_in = await world.accounts.sign_in("Ann", "correct horse", address=HERE)
    world.now += 500
    renewed = await world.accounts.renew(signed_in.token)
    expires = (world.now + 600 - RENEWED_BEFORE_SECONDS) * 1000
    assert (renewed.user, renewed.expires) == ("Ann", int(expires))
    world.now += 499
    renewed = await world.accounts.renew(renewed.token)
    world.now += 1
    with pytest.raises(NotSignedIn):
        await world.accounts.renew(renewed.token)


@pytest.mark.parametrize("token_id", [None, "g1", "pw", "pw.", "pw.x.y", "pw.²", "pw." + "1" * 99])
async def test_a_token_that_no_password_was_given_for_is_not_renewed(world, token_id):
    """A guest's of that name, or one that its issuer meant for an hour."""
    token = issue_token(
        "Ann", secret=SECRET, now=world.now, lifetime_seconds=600, token_id=token_id
    )
    for attempt in (
        world.accounts.renew(token),
        world.accounts.change_password(token, "correct horse", "battery staple", address=HERE),
    ):
        assert (await refusal(attempt))[0] is NotSignedIn


async def test_a_token_is_not_renewed_when_it_is_revoked_expired_or_its_account_disabled(world):
    signed_in = await world.accounts.sign_in("Ann", "correct horse", address=HERE)
    world.put("Ann", "correct horse", disabled=True)
    with pytest.raises(NotSignedIn):
        await world.accounts.renew(signed_in.token)
    world.put("Ann", "correct horse")
    assert await world.accounts.renew(signed_in.token)
    world.revoke("Ann")
    with pytest.raises(NotSignedIn):
        await world.accounts.renew(signed_in.token)
    world.now += 1
    again = await world.accounts.sign_in("Ann", "correct horse", address=HERE)
    world.now += 600
    with pytest.raises(NotSignedIn):
        await world.accounts.renew(again.token)


async def test_a_token_that_another_process_has_just_revoked_is_not_renewed(world):
    """What the node has not yet noticed, its store knows: else who renews all the time stays."""
    signed_in = await world.accounts.sign_in("Ann", "correct horse", address=HERE)
    world.revoked_elsewhere = [world.revocations.of_user("Ann", now=world.now)]
    world.now += 1
    with pytest.raises(NotSignedIn):
        await world.accounts.renew(signed_in.token)


async def test_a_renewed_token_ends_by_what_another_process_was_writing_at_that_moment(world):
    world.revoke("Ann")
    world.now += 1
    signed_in = await world.accounts.sign_in("Ann", "correct horse", address=HERE)
    world.now += 1
    renewed = await world.accounts.renew(signed_in.token)
    assert world.good(renewed)  # what was revoked before the sign-in is another matter
    elsewhere = world.revocations.of_user("Ann", now=world.now - 0.5)
    world.revocations.learn([elsewhere])
    assert not world.good(renewed)


async def test_a_short_token_is_renewed_for_nearly_all_of_its_life(world):
    signed_in = world.issue("Ann", now=world.now, token_id=f"pw.{int(world.now * 1000)}.x", life=8)
    world.now += 7
    renewed = await world.accounts.renew(signed_in.token)
    assert world.verify(renewed.token, world.now).issued_at == world.now - 2


async def test_signing_out_ends_that_token_and_no_other(world):
    here = await world.accounts.sign_in("Ann", "correct horse", address=HERE)
    there = await world.accounts.sign_in("Ann", "correct horse", address=HERE)
    await world.accounts.sign_out(here.token)
    assert [world.good(each) for each in (here, there)] == [False, True]


async def test_what_signing_out_leaves_behind_is_bounded(world):
    """Guests' tokens cost nothing to get, and a user may sign in all day."""
    for n in range(50):
        guest = world.issue("guest:x", now=world.now, token_id=f"g{n}")
        await world.accounts.sign_out(guest.token)
        await world.accounts.sign_out("rubbish")
    assert len(world.revocations) == 0
    for _ in range(2):
        signed_in = await world.accounts.sign_in("Ann", "correct horse", address=HERE)
        await world.accounts.sign_out(signed_in.token)
    signed_in = await world.accounts.sign_in("Ann", "correct horse", address=HERE)
    with pytest.raises(Throttled):
        await world.accounts.sign_out(signed_in.token)
    assert len(world.revocations) == 2


async def test_who_signs_out_all_the_time_keeps_nobody_from_a_new_password(world):
    """It may be somebody who has stolen a token, and the new password what ends that."""
    mine = await world.accounts.sign_in("Ann", "correct horse", address=HERE)
    for _ in range(2):
        await world.accounts.sign_out((await world.accounts.renew(mine.token)).token)
    fresh = await world.accounts.change_password(
        mine.token, "correct horse", "battery staple", address=HERE
    )
    assert world.good(fresh)


async def test_a_name_is_known_to_be_an_account_s_however_it_is_spelled(world):
    assert await world.accounts.has_account("aNN")
    assert not await world.accounts.has_account("bob")
