"""What operators and their servers do to a running node: publish, disconnect, revoke."""

from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any, Final

import trio

from greenroom.actors.room.messages import Refused
from greenroom.actors.services import Services
from greenroom.actors.speaker import PutOff, Speak, Spoken
from greenroom.node.admin.table import Call, Entry, Field, JsonObject, Problem
from greenroom.node.identity.names import SYSTEM_PREFIX
from greenroom.node.identity.revoking import Revoker
from greenroom.protocol import CloseCode, ErrorCode, is_valid_room_name, is_valid_subject
from greenroom.supervisor import ActorError, Ref

PUBLISH_SECONDS: Final = 20.0
"""Longer than a batch is tried again while the store is away."""
RETRY_SECONDS: Final = 1.0

STATUSES: Final[Mapping[ErrorCode, HTTPStatus]] = {
    ErrorCode.KEY_CONFLICT: HTTPStatus.CONFLICT,
    ErrorCode.NOT_AVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
    ErrorCode.TOO_MANY_REQUESTS: HTTPStatus.TOO_MANY_REQUESTS,
    ErrorCode.CONTENT_TOO_LARGE: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
}

NOBODY_KNOWS: Final = (
    "nobody knows whether it was stored: send it again with the same key, and it is stored once"
)


class Actions:
    """The answers to every POST."""

    def __init__(self, services: Services, speaker: Ref[Any], revoker: Revoker) -> None:
        self._services = services
        self._speaker = speaker
        self._revoker = revoker

    def table(self) -> Iterator[Entry]:
        """The lines of the table that are answered here."""
        yield Entry(
            method="POST",
            path="publish",
            summary="Say something in a room. Answered when it is stored.",
            answer=self.publish,
            fields=[
                Field(name="room", help="Its name; the room is opened.", required=True, high=100),
                Field(name="content", help="What is said.", required=True),
                Field(
                    name="key",
                    help="Makes it repeatable: the same user's same key in a room is stored once.",
                    high=64,
                ),
                Field(
                    name="user",
                    help=f"Who says it, with {SYSTEM_PREFIX} put before; else the key's name.",
                    high=100,
                ),
            ],
        )
        yield Entry(
            method="POST",
            path="disconnect",
            summary="Close a user's connections, or one, with 4503. Revoke to keep somebody out.",
            answer=self.disconnect,
            fields=[
                Field(name="user", help="Whose connections.", high=255),
                Field(name="connection", help="Which one.", high=64),
            ],
        )
        yield Entry(
            method="POST",
            path="revoke",
            summary="Throw out all tokens of a user so far, or one by its id, on all nodes.",
            answer=self.revoke,
            fields=[
                Field(name="user", help="Whose tokens; those issued later are good.", high=255),
                Field(name="token_id", help="The `jti` of one token.", high=255),
                Field(name="expires", help="When that token expires, ms since 1970.", kind=int),
            ],
        )

    async def publish(self, call: Call) -> JsonObject:
        """Have the speaker say it."""
        room, content = call.given["room"], call.given["content"]
        user = SYSTEM_PREFIX + (call.given["user"] or call.who)
        if not is_valid_room_name(room):
            raise Problem(HTTPStatus.BAD_REQUEST, "room has to be the name of a room")
        if not is_valid_subject(user):
            raise Problem(HTTPStatus.BAD_REQUEST, "user has to be the name of a user")
        policy, limits = self._services.policies.of(room), self._services.limits
        most = min(policy.max_content_bytes or limits.max_content_bytes, limits.max_content_bytes)
        if len(content.encode()) > most:
            text = f"content has to be of {most} bytes at the most"
            raise Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, text)
        key = call.given["key"] or self._services.new_id()
        speak = Speak(room=room, user=user, key=key, content=content)
        try:
            with trio.fail_after(PUBLISH_SECONDS):
                outcome = await self._speaker.ask(speak)
        except (trio.TooSlowError, ActorError):
            status = HTTPStatus.SERVICE_UNAVAILABLE
            raise Problem(status, NOBODY_KNOWS, retry_after_seconds=RETRY_SECONDS) from None
        match outcome:
            case Spoken(message, _, duplicate):
                return {
                    "room": room,
                    "user": user,
                    "key": key,
                    "message_id": message.message_id,
                    "epoch": message.epoch,
                    "offset": message.offset,
                    "timestamp": message.timestamp,
                    "duplicate": duplicate,
                }
            case PutOff(seconds):
                text = "the room sends too much already"
                status = HTTPStatus.TOO_MANY_REQUESTS
                raise Problem(status, text, retry_after_seconds=seconds)
            case Refused(code):
                status = STATUSES.get(code, HTTPStatus.INTERNAL_SERVER_ERROR)
                again = RETRY_SECONDS if code.temporary else None
                raise Problem(status, code.message, retry_after_seconds=again)
            case _:
                raise TypeError(f"the speaker has answered {outcome!r}")

    async def disconnect(self, call: Call) -> JsonObject:
        """Close connections."""
        _exactly_one(call, "user", "connection")
        await trio.lowlevel.checkpoint()
        closed = self._services.roll.end(
            CloseCode.KICKED, user=call.given["user"], connection=call.given["connection"]
        )
        return {"closed": closed}

    async def revoke(self, call: Call) -> JsonObject:
        """Put a revocation in force."""
        _exactly_one(call, "user", "token_id")
        user, token_id, expires = (call.given[name] for name in ("user", "token_id", "expires"))
        if user is not None and expires is not None:
            raise Problem(HTTPStatus.BAD_REQUEST, "expires is of a token_id")
        try:
            if user is not None:
                revoked = await self._revoker.revoke_user(user)
            else:
                ends = None if expires is None else expires / 1000
                revoked = await self._revoker.revoke_token(token_id, expires=ends)
        except ValueError as error:
            raise Problem(HTTPStatus.BAD_REQUEST, str(error)) from None
        return {"closed": revoked.connections, "stored": revoked.stored}


def _exactly_one(call: Call, *names: str) -> None:
    if sum(call.given[name] is not None for name in names) != 1:
        raise Problem(HTTPStatus.BAD_REQUEST, f"give one of {' and '.join(names)}")
