"""What every actor of the cast needs and none of them owns: settings, clock, randomness, keys."""

from collections.abc import Awaitable, Callable
from random import Random, SystemRandom

import attrs

from greenroom.actors.archive.watermarks import Watermarks
from greenroom.actors.beats import Beats
from greenroom.actors.callbacks.events import EventKind
from greenroom.actors.callbacks.plan import CallbackState
from greenroom.actors.health import StoreHealth
from greenroom.actors.ledger import Ledger
from greenroom.actors.openers import Openers
from greenroom.actors.rates import RateLimits, Rates
from greenroom.actors.readiness import Readiness
from greenroom.actors.rights.access import RoomPolicies
from greenroom.actors.rights.bearers import Bearers
from greenroom.actors.rights.revocations import Revocations
from greenroom.actors.rights.warden import Warden
from greenroom.actors.roll import Roll
from greenroom.protocol import Claims


@attrs.frozen(kw_only=True)
class CastLimits:
    """Every bound and every wait of the cast, with its unit in its name.

    `node` fills these from its settings; the defaults are what DESIGN promises.
    """

    handshake_seconds: float = 5.0
    """From accept to the end of the WebSocket handshake, TLS and request head included."""
    auth_seconds: float = 10.0
    """From the handshake to a good AUTH; then 4502."""
    close_seconds: float = 2.0
    """For the last bytes and the peer's close frame; then the socket is simply closed."""

    heartbeat_seconds: float = 25.0
    """Silence after which a client is UNREACHABLE; it gets a HEARTBEAT at 0.8 of that."""
    pong_timeout_seconds: float = 8.0
    """Further silence after which it is closed with 4005."""
    expiry_warning_seconds: float = 60.0
    """TOKEN_EXPIRING comes this long before the token's end, or at half of what is left."""
    revocation_seconds: float = 400 * 86_400.0
    """The longest life of a token: so long a revoked user's tokens are remembered."""

    session_seconds: float = 15.0
    """How long a session, and with it a user's presence, outlives a connection that was lost."""
    max_waiting_sessions: int = 10_000
    """Sessions that wait for their client to come back; of more, the oldest ends."""

    max_connections: int = 10_000
    """Connections on this node; `start_child` raises `TooManyChildren` beyond that."""
    max_connections_per_user: int = 100
    """Connections of one user that are in at a time; one more is ERROR 106 and 4504."""
    max_frame_bytes: int = 64 * 1024
    max_frame_bytes_before_auth: int = 16 * 1024
    """The same until AUTH has succeeded; a token of 8,192 characters fits. It also bounds what may
    wait for the answer to an AUTH."""
    message_seconds: float = 60.0
    """From a message's first byte to its last; then 4005, as no heartbeat gets past it."""
    max_content_bytes: int = 32 * 1024
    max_rooms_per_connection: int = 100
    max_rooms: int = 20_000
    """Rooms that live at a time on this node; beyond that a JOIN that opens one is ERROR 108."""
    max_rooms_per_address: int = 5_000
    """Those of them that connections from one address have opened."""
    max_members_per_room: int = 10_000
    max_history_messages: int = 100
    """Messages in one HISTORY_OK."""
    max_presence_members: int = 1_000
    """Users in one PRESENCE_OK, half an outbox at the longest names; of more there is no list."""
    max_recovered_messages: int = 500
    """Messages in one JOIN_OK; who missed more gets `recovered: false` and a GAP."""

    rates: RateLimits = attrs.field(factory=RateLimits)
    """How many commands, frames and bytes a second, and what happens beyond."""

    in_flight_publishes: int = 64
    """Commands of one connection that have no answer yet; beyond that its reading stops."""
    in_flight_bytes: int = 256 * 1024
    """Their frames together; beyond that, the same."""
    in_flight_reads: int = 2
    """HISTORYs of one connection at its rooms; the others wait in the connection."""

    outbox_bytes: int = 1024 * 1024
    """Bytes waiting for one socket; beyond that the client is a slow consumer (4004)."""
    outbox_seconds: float = 8.0
    """Age of the oldest waiting byte; beyond that, the same."""

    batch_messages: int = 128
    batch_bytes: int = 64 * 1024
    batch_seconds: float = 0.005
    """A room collects one batch until the first of the three."""
    batches_in_flight: int = 4
    """Batches of one room at the archive without an answer; beyond that its publishes wait."""
    waiting_messages: int = 10_000
    waiting_bytes: int = 16 * 1024 * 1024
    """PUBLISHes that wait in one room for the archive; beyond that they get ERROR 108."""
    ring_messages: int = 512
    ring_bytes: int = 1024 * 1024
    """What a room remembers for HISTORY and recovery, whichever is first."""
    ring_seconds: float = 900.0
    """How long it does where nobody says or asks anything any more; then the archive alone has it.
    An ephemeral room has no archive, and remembers."""
    empty_room_seconds: float = 30.0
    """How long a room without members stays."""
    unused_room_seconds: float = 1.0
    """The same, where nothing was ever said: else one client could fill `max_rooms` in passing."""
    presence_seconds: float = 0.1
    """JOINED and LEFT are collected for so long."""
    rejoin_seconds: float = 2.0
    """After a room's crash, who has not come back by then has left."""

    backlog_messages: int = 10_000
    backlog_bytes: int = 16 * 1024 * 1024
    """What may wait at the archive; beyond that publishes get ERROR 108."""
    commit_messages: int = 1_000
    commit_bytes: int = 4 * 1024 * 1024
    """One transaction."""
    commit_patience_seconds: float = 10.0
    """How long one batch is tried again while the store is away; then ERROR 108."""
    gate_seconds: float = 3.0
    """How long the gate may take to say who may enter; then ERROR 108."""
    gate_memory_seconds: float = 5.0
    """How long its answer is remembered."""
    gate_questions_at_once: int = 16
    """Questions that the gate is asked at a time; the others wait, within `gate_seconds`."""
    retention_seconds: float | None = None
    """Age at which messages are deleted, a day at the least; None: never."""
    retention_messages: int | None = None
    """Messages kept of each room, beside those of the last day; None: all."""
    store_seconds: float = 4.0
    """How long the store may hold a call that nobody waits for any more: its threads can't be
    cancelled within a statement. The archive's grace is a second longer."""
    reads_at_once: int = 2
    """HISTORY, and JOINs with `since` that reach beyond the room's ring."""
    loads_at_once: int = 1
    """Rooms that open. With the one commit, these are as many as the store has connections."""

    @property
    def keeps_all(self) -> bool:
        """Whether the history of a room always begins with its first message."""
        return self.retention_seconds is None and self.retention_messages is None

    @property
    def answer_bytes(self) -> int:
        """What one answer may hold of messages: half an outbox."""
        return self.outbox_bytes // 2


@attrs.frozen(kw_only=True)
class Services:
    """Handed to every actor by the composition root; frozen, shared, the same for all."""

    node: str
    """This node's name, as AUTH_OK says it."""
    now: Callable[[], float]
    """Wall clock, seconds since 1970. Deadlines and ages use `trio.current_time()` instead."""
    verify: Callable[[str, float], Claims]
    """(token, now) -> its claims; raises `TokenInvalid` or `TokenExpired`. Must not block."""
    refresh_keys: Callable[[], Awaitable[None]] | None = None
    """Looks for newer keys after `verify` raised `UnknownKey`; None: there are no others. Bounded,
    shared by all who wait, at once if it has just been done; never raises."""
    random: Random = attrs.field(factory=SystemRandom)
    """Session ids, epochs of ephemeral rooms, node-made keys. `SystemRandom` unless testing."""
    limits: CastLimits = CastLimits()
    ledger: Ledger = attrs.field(factory=Ledger)
    """What became of every message; the actors write it, tests and chaos experiments read it."""
    commits: StoreHealth = attrs.field(factory=lambda: StoreHealth("commit"))
    """Whether the store takes history now; the archive writes it, readiness reads it."""
    watermarks: Watermarks = attrs.field(factory=Watermarks)
    """How far each room was handed on; rooms and callbacks write it, the archive stores it."""
    readiness: Readiness = attrs.field(factory=Readiness)
    """Tells connections that their sockets have something; its actor serves it."""
    beats: Beats = attrs.field(default=attrs.Factory(lambda s: Beats(s.now_ms), takes_self=True))
    """Tells them that they have been silent for long; its actor serves it."""
    revocations: Revocations = attrs.field(
        default=attrs.Factory(
            lambda s: Revocations(keep_seconds=s.limits.revocation_seconds), takes_self=True
        )
    )
    """Who was thrown out: whoever takes a token asks it."""
    bearers: Bearers = attrs.field(
        default=attrs.Factory(
            lambda s: Bearers(
                s.now, s.revocations, warning_seconds=s.limits.expiry_warning_seconds
            ),
            takes_self=True,
        )
    )
    """Who is in on which token, and until when; its actor serves it."""
    warden: Warden = attrs.field(
        default=attrs.Factory(lambda s: Warden(s.revocations, s.bearers, s.now), takes_self=True)
    )
    """Revokes; its actor serves it."""
    rates: Rates = attrs.field(
        default=attrs.Factory(lambda s: Rates(s.limits.rates), takes_self=True)
    )
    """What users and addresses have used up; each connection asks it once, and then holds it."""
    openers: Openers = attrs.field(factory=Openers)
    """Who has opened how many rooms; the registry asks it, rooms count themselves."""
    roll: Roll = attrs.field(factory=Roll)
    """Who is connected; connections write it, operators read it."""
    callbacks: CallbackState | None = None
    """What is called back, and how that goes; None: nothing is."""
    policies: RoomPolicies = attrs.field(factory=RoomPolicies)
    """What holds in which rooms, by their names."""

    def __attrs_post_init__(self) -> None:
        # A message that is to be called back is handed on when it was, and not before.
        if self.callbacks is not None and self.callbacks.wants(EventKind.MESSAGE):
            self.watermarks.callbacks = True

    def now_ms(self) -> int:
        """Wall clock in the protocol's unit."""
        return int(self.now() * 1000)

    def new_id(self, bits: int = 96) -> str:
        """An unguessable id, as lower-case hex."""
        return f"{self.random.getrandbits(bits):0{bits // 4}x}"
