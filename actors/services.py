"""What every actor of the cast needs and none of them owns: settings, clock, randomness, keys."""

from collections.abc import Callable
from random import Random, SystemRandom

import attrs

from greenroom.actors.health import StoreHealth
from greenroom.actors.ledger import Ledger
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

    max_connections: int = 10_000
    """Connections on this node; `start_child` raises `TooManyChildren` beyond that."""
    max_frame_bytes: int = 64 * 1024
    max_content_bytes: int = 32 * 1024
    max_rooms_per_connection: int = 100
    max_rooms: int = 20_000
    """Rooms that live at a time on this node; beyond that a JOIN that opens one is ERROR 108."""
    max_members_per_room: int = 10_000
    max_history_messages: int = 100
    """Messages in one HISTORY_OK."""
    max_presence_members: int = 1_000
    """Users in one PRESENCE_OK, half an outbox at the longest names; of more there is no list."""
    max_recovered_messages: int = 500
    """Messages in one JOIN_OK; who missed more gets `recovered: false` and a GAP."""

    in_flight_publishes: int = 64
    """PUBLISHes of one connection that have no answer yet; beyond that its reading stops."""
    in_flight_bytes: int = 256 * 1024
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
    reads_at_once: int = 2
    """HISTORY, and JOINs with `since` that reach beyond the room's ring."""
    loads_at_once: int = 1
    """Rooms that open. With the one commit, these are as many as the store has connections."""

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
    random: Random = attrs.field(factory=SystemRandom)
    """Session ids, epochs of ephemeral rooms, node-made keys. `SystemRandom` unless testing."""
    limits: CastLimits = CastLimits()
    ledger: Ledger = attrs.field(factory=Ledger)
    """What became of every message; the actors write it, tests and chaos experiments read it."""
    commits: StoreHealth = attrs.field(factory=lambda: StoreHealth("commit"))
    """Whether the store takes history now; the archive writes it, readiness reads it."""
    ephemeral_prefix: str = "ephemeral:"
    """Rooms whose names begin so store nothing and promise at most once. Empty: none do."""

    def now_ms(self) -> int:
        """Wall clock in the protocol's unit."""
        return int(self.now() * 1000)

    def new_id(self, bits: int = 96) -> str:
        """An unguessable id, as lower-case hex."""
        return f"{self.random.getrandbits(bits):0{bits // 4}x}"
