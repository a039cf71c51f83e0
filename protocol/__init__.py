"""Greenroom's wire protocol, version 1, without I/O: no sockets, no clock, no event loop.

Payloads go in, messages come out, and back; machines say what follows. Anything that can move
bytes can speak it:

    from greenroom.protocol import JSON_CODEC, Publish, ServerMachine

    machine = ServerMachine(JSON_CODEC)
    machine.authenticated()
    match machine.receive('{"type":"PUBLISH","id":7,"room":"lobby","content":"hello"}'):
        case Publish(room=room, content=content):
            print(f"{content!r} for {room}")

The messages and what they mean are described for other languages in `docs/protocol.md`.
"""

from greenroom.protocol._client import ClientMachine
from greenroom.protocol._codec import Codec, DecodeError, pick_codec
from greenroom.protocol._codes import CLOSES, ERRORS, CloseCode, ErrorCode, may_reconnect
from greenroom.protocol._commands import (
    Auth,
    Heartbeat,
    History,
    Join,
    Leave,
    Presence,
    Publish,
    Refresh,
    Typing,
)
from greenroom.protocol._direct import direct_room, is_direct_room_of
from greenroom.protocol._fields import is_valid_room_name, room_prefix
from greenroom.protocol._heartbeat import HeartbeatClock, Pulse
from greenroom.protocol._json import JSON_CODEC
from greenroom.protocol._keys import (
    ALGORITHMS,
    HMAC_BYTES,
    MIN_SECRET_BYTES,
    KeyRefused,
    KeySet,
    ReadKeys,
    VerificationKey,
    check_secret,
    hmac_key,
    jwk_key,
    pem_key,
    read_jwks,
)
from greenroom.protocol._limits import (
    DEFAULT_HISTORY_MESSAGES,
    MAX_ANSWER_BYTES,
    MAX_CONTENT_BYTES,
    MAX_ERRORS_IN_A_ROW,
    MAX_FRAME_BYTES,
    MAX_HISTORY_MESSAGES,
    MAX_KEY_CHARS,
    MAX_PUBLISH_BYTES_IN_FLIGHT,
    MAX_PUBLISHES_IN_FLIGHT,
    MAX_ROOM_CHARS,
    MAX_ROOMS_PER_CONNECTION,
    MAX_SAFE_INTEGER,
    MAX_TOKEN_CHARS,
    MAX_UINT32,
    MAX_USER_CHARS,
)
from greenroom.protocol._messages import (
    ANSWERS,
    COMMANDS,
    PUSHES,
    REPLIES,
    TAGS,
    Answer,
    Command,
    Push,
    Reply,
)
from greenroom.protocol._protobuf import PROTOBUF_CODEC
from greenroom.protocol._pushes import (
    Drain,
    Error,
    Gap,
    GapReason,
    Joined,
    Left,
    Message,
    Removed,
    TokenExpiring,
    TypingPush,
)
from greenroom.protocol._reconnect import (
    ReconnectPolicy,
    drain_delay,
    reconnect_ceiling,
    reconnect_delay,
)
from greenroom.protocol._records import Limits, Member, Position
from greenroom.protocol._replies import Ack, AuthOk, HistoryOk, JoinOk, Ok, PresenceOk, RefreshOk
from greenroom.protocol._rights import (
    ALL_RIGHTS,
    NO_RIGHTS,
    Right,
    Rights,
    match_room,
    read_rights,
    read_room_rights,
)
from greenroom.protocol._server import ServerMachine
from greenroom.protocol._states import TRANSITIONS, Event, State, TransitionError, next_state
from greenroom.protocol._subprotocols import CODECS, SUBPROTOCOLS, choose_subprotocol
from greenroom.protocol._token_errors import (
    KeysUnavailable,
    TokenError,
    TokenExpired,
    TokenInvalid,
    UnknownKey,
)
from greenroom.protocol._tokens import (
    MAX_LEEWAY_SECONDS,
    Claims,
    TokenRules,
    is_valid_subject,
    issue_token,
    verify_token,
    verify_with_keys,
)

__all__ = [
    # Commands, replies, pushes
    "Auth",
    "Heartbeat",
    "History",
    "Join",
    "Leave",
    "Presence",
    "Publish",
    "Refresh",
    "Typing",
    "Ack",
    "AuthOk",
    "HistoryOk",
    "JoinOk",
    "Ok",
    "PresenceOk",
    "RefreshOk",
    "Drain",
    "Error",
    "Gap",
    "GapReason",
    "Joined",
    "Left",
    "Message",
    "Removed",
    "TokenExpiring",
    "TypingPush",
    "Limits",
    "Member",
    "Position",
    "Answer",
    "Command",
    "Push",
    "Reply",
    "ANSWERS",
    "COMMANDS",
    "PUSHES",
    "REPLIES",
    "TAGS",
    # Codecs
    "CODECS",
    "Codec",
    "DecodeError",
    "JSON_CODEC",
    "PROTOBUF_CODEC",
    "SUBPROTOCOLS",
    "choose_subprotocol",
    "pick_codec",
    # Codes
    "CLOSES",
    "CloseCode",
    "ERRORS",
    "ErrorCode",
    "may_reconnect",
    # Machines
    "ClientMachine",
    "Event",
    "HeartbeatClock",
    "Pulse",
    "ReconnectPolicy",
    "ServerMachine",
    "State",
    "TRANSITIONS",
    "TransitionError",
    "drain_delay",
    "next_state",
    "reconnect_ceiling",
    "reconnect_delay",
    # Tokens
    "Claims",
    "KeysUnavailable",
    "MAX_LEEWAY_SECONDS",
    "MIN_SECRET_BYTES",
    "TokenError",
    "TokenExpired",
    "TokenInvalid",
    "TokenRules",
    "UnknownKey",
    "check_secret",
    "is_valid_subject",
    "issue_token",
    "verify_token",
    "verify_with_keys",
    # Keys of tokens
    "ALGORITHMS",
    "HMAC_BYTES",
    "KeyRefused",
    "KeySet",
    "ReadKeys",
    "VerificationKey",
    "hmac_key",
    "jwk_key",
    "pem_key",
    "read_jwks",
    # Rights
    "ALL_RIGHTS",
    "NO_RIGHTS",
    "Right",
    "Rights",
    "direct_room",
    "is_direct_room_of",
    "match_room",
    "read_rights",
    "read_room_rights",
    # Limits
    "DEFAULT_HISTORY_MESSAGES",
    "MAX_ANSWER_BYTES",
    "MAX_CONTENT_BYTES",
    "MAX_ERRORS_IN_A_ROW",
    "MAX_FRAME_BYTES",
    "MAX_HISTORY_MESSAGES",
    "MAX_KEY_CHARS",
    "MAX_PUBLISHES_IN_FLIGHT",
    "MAX_PUBLISH_BYTES_IN_FLIGHT",
    "MAX_ROOMS_PER_CONNECTION",
    "MAX_ROOM_CHARS",
    "MAX_SAFE_INTEGER",
    "MAX_TOKEN_CHARS",
    "MAX_UINT32",
    "MAX_USER_CHARS",
    "is_valid_room_name",
    "room_prefix",
]
