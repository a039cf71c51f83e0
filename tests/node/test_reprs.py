"""No repr of ours shows a token, a session id or a secret, whoever logs or raises it."""

import gc
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator

import attrs
import pytest
import trio
import trio.testing
from support.cast_stage import SECRET, open_stage
from support.wire import request

import greenroom.actors
import greenroom.client
import greenroom.node
import greenroom.protocol
import greenroom.supervisor
from greenroom.actors import registry

PACKAGES = (
    greenroom.actors,
    greenroom.client,
    greenroom.node,
    greenroom.protocol,
    greenroom.supervisor,
)
SECRETIVE = re.compile(
    r"(tokens?|secrets?|sessions?|passwords?|keys?|cookies?|bearers?|authorization|received|auth)"
)
"""Words of a name that say that there may be something to keep."""

NO_SECRETS = {
    # What makes a PUBLISH the same one again; its sender made it up.
    "callbacks.courier.Errand.key",
    "ports.KeyConflict.key",
    "ports.NewMessage.key",
    "ports.StoredMessage.key",
    "room.ring.Remembered.key",
    "speaker.Speak.key",
    "speaker.Statement.key",
    "connection.voice.Said.key",
    "_commands.Publish.key",
    # What revocations name; it lets nobody in.
    "rights.revocations.Revocation.token_id",
    "_tokens.Claims.token_id",
    # Names, not what stands behind them.
    "door.peek.Policy.token_cookie",
    "identity.login.LoginServices.cookie",
    "settings.door.DoorSettings.token_cookie",
    "settings.record.Settings.token_cookie",
    "storage.accounts.Account.key",
    # Four bytes that mask one frame.
    "connection.frame_reader._Head.key",
}


def records() -> Iterator[type]:
    """Every class made by attrs in our packages that has a repr of its fields."""
    for package in PACKAGES:
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if "__main__" in found.name or ".migrations" in found.name:
                continue
            module = importlib.import_module(found.name)
            for _, kind in inspect.getmembers(module, inspect.isclass):
                if kind.__module__ == found.name and attrs.has(kind):
                    yield kind


def holds_text(field: attrs.Attribute) -> bool:
    """Whether a field is of text or bytes; what masks itself, paths, numbers are none."""
    kind = str(field.type)
    return bool(re.search(r"\b(str|bytes|bytearray)\b", kind)) and "Callable" not in kind


def test_a_field_of_a_secretive_name_stays_out_of_its_record_s_repr():
    shown = {
        f"{kind.__module__.removeprefix('greenroom.').partition('.')[2]}.{kind.__qualname__}"
        f".{field.name}"
        for kind in records()
        for field in attrs.fields(kind)
        if SECRETIVE.search(field.name)
        and field.repr is True
        and kind.__repr__ is not object.__repr__
        and holds_text(field)
    }
    assert shown <= NO_SECRETS
    assert shown >= NO_SECRETS, "these are gone, or hide by now"


def reprs_that_show(secrets: list[str]) -> set[str]:
    """The kinds of our living objects whose repr holds one of these."""
    return {
        type(thing).__qualname__
        for thing in gc.get_objects()
        if str(type(thing).__module__).startswith("greenroom.")
        and any(secret in repr(thing) for secret in secrets)
    }


async def test_no_living_object_shows_a_token_while_it_is_in_hand(autojump_clock, monkeypatch):
    """One connection waits with its AUTH, one with its REFRESH, one has lost its socket, one is in;
    the tokens of three came with the handshake."""
    held = trio.Event()

    async def hold(*_):
        await held.wait()

    async with open_stage() as stage:
        tokens = {user: stage.token(user) for user in ("ann", "bob", "carl", "dora", "eve", "fay")}
        lost = await stage.open()
        session = (await lost.ask("AUTH", token=tokens["ann"]))["session"]
        await lost.joined("lobby")
        await lost.stream.aclose()
        await trio.sleep(3)
        inside = await stage.open(token=tokens["bob"])
        sessions = [session, (await inside.ask("AUTH"))["session"]]
        await inside.joined("lobby")
        await inside.ask("REFRESH", token=tokens["bob"])
        monkeypatch.setattr(registry, "open_room", hold)
        await stage.cast.registry.tell(registry.OpenRoom("takes long"))
        waiting = await stage.open()
        await waiting.send(type="AUTH", id=1, token=tokens["carl"], session=session)
        also_waiting = await stage.open(token=tokens["dora"])
        await also_waiting.send(type="AUTH", id=1)
        await also_waiting.send(type="REFRESH", id=2, token=tokens["eve"])
        head = request(Authorization=b"Bearer " + tokens["fay"].encode())
        await stage.raw(received=head)
        await trio.testing.wait_all_tasks_blocked()
        snapshot = stage.sup.snapshot(await_stacks=True)
        secrets = [*tokens.values(), *sessions, SECRET]
        signatures = [token.rpartition(".")[2] for token in tokens.values()]
        assert not any(secret in repr(snapshot) for secret in secrets + signatures)
        assert reprs_that_show(secrets + signatures) == set()
        held.set()


@pytest.mark.parametrize("secret", ["a secret that is long enough to sign tokens"])
def test_the_check_itself_finds_what_shows(secret):
    @attrs.frozen
    class Careless:
        word: str

    Careless.__module__ = "greenroom.nowhere"
    careless = Careless(secret)
    assert reprs_that_show([secret]) == {careless.__class__.__qualname__}
