"""What the node's paths cost, counted: no path gets dearer without somebody deciding that.

Seconds are no test: machines differ and are busy. So these count what the node does for a fixed
script (support/counting.py says how); the figures are the same each time, on a busy machine too.
`COUNTED` is what was counted when it was last set, and `MARGIN` how much more passes. Each
docstring names the mistakes that its test is for.

When a test fails, either undo what made the path dearer, or say in the commit why it is worth that,
and set `COUNTED` anew; when a path has become cheaper, set it anew too, or the gain is not held.
`python tests/guard/test_cost.py` prints all figures as they stand there.
"""

import gc
import json
import sys
import tempfile
import threading
import tracemalloc
from collections import Counter
from pathlib import Path

import attrs
import trio

if __name__ == "__main__":  # as pytest's own `pythonpath` setting does
    sys.path.insert(0, str(Path(__file__).parents[1]))

from support.cast_pieces import new_message
from support.counting import Work, counted, play
from support.wire import frame

from greenroom.node.storage import Pool, SqlStore, open_database
from greenroom.protocol import CODECS, PROTOBUF_CODEC, Auth, Join, Message

EPHEMERAL = "ephemeral:guard"
DURABLE = "guard"
CONTENT = "x" * 100


async def publish_singly(scene, *, members, publishes=20, room=EPHEMERAL) -> Work:
    """One member says one thing after the other; the work of one PUBLISH, ACK and all MESSAGEs."""
    clients = await scene.members(members, room)
    with counted() as meter:
        for _ in range(publishes):
            clients[0].send(type="PUBLISH", room=room, content=CONTENT)
            await scene.settle()
    for client in clients[1:]:
        assert client.take().count(b'"MESSAGE"') == publishes
    assert clients[0].take().count(b'"ACK"') == publishes
    return meter.work.per(publishes)


async def publish_together(scene, *, members, window=32, room=EPHEMERAL) -> Work:
    """Everybody in turn says `window` things in one segment; the work of one such segment."""
    clients = await scene.members(members, room)
    with counted() as meter:
        for client in clients:
            for _ in range(window):
                client.send(type="PUBLISH", room=room, content=CONTENT)
            await scene.settle()
    for client in clients:
        assert client.take().count(b'"MESSAGE"') == window * (members - 1)
    return meter.work.per(members)


def per_delivery(**options) -> Work:
    """What one more member costs each message."""
    few = play(lambda scene: publish_singly(scene, members=10, **options))
    many = play(lambda scene: publish_singly(scene, members=50, **options))
    return Work(
        calls=(many.calls - few.calls) / 40,
        steps=(many.steps - few.steps) / 40,
        sends=(many.sends - few.sends) / 40,
        receives=(many.receives - few.receives) / 40,
    )


def per_publish(**options) -> Work:
    """What one PUBLISH costs until its ACK, in a room where nobody else is."""
    return play(lambda scene: publish_singly(scene, members=1, **options))


def per_batched_publish() -> Work:
    """The same in a segment of 32, in a room of 10; deliveries included."""
    return play(lambda scene: publish_together(scene, members=10)).per(32)


async def connect(scene, *, count=20) -> tuple[Work, Counter]:
    await scene.members(2, EPHEMERAL)  # what is made once is made
    with counted() as meter:
        clients = []
        for number in range(count):
            clients.append(await scene.connect())
            await scene.enter(clients[-1], f"v{number}", EPHEMERAL)
    return meter.work.per(count), meter.by_task


def per_connect() -> Work:
    """Handshake, AUTH and JOIN of one client into a room that others are in."""
    work, _ = play(connect)
    return work


def answer_heartbeats(clients) -> int:
    answered = 0
    for client in clients:
        for line in client.take().split(b"{"):
            if b'"HEARTBEAT"' in line and b"echo" not in line:
                at = json.loads(b"{" + line[: line.index(b"}") + 1])["timestamp"]
                client.send(type="HEARTBEAT", timestamp=at, echo=at)
                answered += 1
    return answered


async def idle(scene, *, members=20, minutes=1) -> tuple[Work, int]:
    clients = await scene.members(members, EPHEMERAL)
    answered = 0
    with counted() as meter:
        for _ in range(240 * minutes):
            await scene.pass_time(0.25)
            answered += answer_heartbeats(clients)
    assert scene.stage.connections() == members
    return meter.work.per(members * minutes), answered


def per_idle_minute() -> Work:
    """One client that only answers heartbeats, for a minute."""
    work, _ = play(idle)
    return work


async def room_for(scene, *, count) -> int:
    """Python's memory that `count` connections take, in bytes."""
    await scene.members(5, EPHEMERAL)
    gc.collect()
    tracemalloc.start()
    try:
        clients = await scene.members(count, EPHEMERAL)
        gc.collect()
        taken, _peak = tracemalloc.get_traced_memory()
        assert clients
        return taken
    finally:
        tracemalloc.stop()


def bytes_per_connection() -> float:
    """Of one more idle client in a room: objects of Python, without buffers of the kernel."""
    few = play(lambda scene: room_for(scene, count=10))
    many = play(lambda scene: room_for(scene, count=50))
    return (many - few) / 40


async def commits(path, *, count, size) -> float:
    """Calls of one commit of `size` messages in the thread that commits."""
    store = SqlStore(open_database(None, path, Pool(), epoch="e"), node="n")
    calls, counting = 0, False

    def profile(_frame, event, _arg):
        nonlocal calls
        calls += counting and event == "call"

    threading.setprofile(profile)  # of threads to come
    try:
        for number in range(1 + count):
            await store.commit([new_message(key=f"{number}-{n}") for n in range(size)])
            counting = True  # the first has made the thread, the connection and the room
    finally:
        threading.setprofile(None)
        await store.close()
    return calls / count


def per_commit(*, size=1, count=20) -> float:
    """What SQLite's commit costs besides what SQLite does."""
    with tempfile.TemporaryDirectory() as folder:
        return trio.run(lambda: commits(Path(folder) / "a.db", count=count, size=size))


def per_committed_message() -> float:
    """What one more message costs a commit."""
    return (per_commit(size=64) - per_commit()) / 63


COUNTED = {
    "delivery": Work(calls=6.0, steps=0.0, sends=1.0, receives=0.0),
    "publish": Work(calls=154.7, steps=2.0, sends=1.0, receives=1.0),
    "durable publish": Work(calls=439.9, steps=7.0, sends=1.0, receives=1.0),
    "publish of 32 to 9": Work(calls=50.6, steps=0.14, sends=0.31, receives=0.06),
    "connect": Work(calls=1211.7, steps=11.0, sends=3.0, receives=4.0),
    # A node looks at the wall clock every 5 s, for all connections: 0.6 steps of these, of 20.
    "idle minute": Work(calls=501.3, steps=4.8, sends=3.0, receives=3.0),
}
COUNTED_COMMIT = 101.2
"""Calls, of one message; see `per_commit`."""
COUNTED_COMMITTED_MESSAGE = 9.0
"""Of one more."""
COUNTED_BYTES = 19_020
"""Of an idle connection."""

MARGIN = Work(
    calls=1.1,  # Python 3.11 and 3.13 differ by 1.5 %; a version of Trio or attrs may by more
    steps=1.03,  # the same everywhere; less than one step of the 11 of a connect
    sends=1.03,
    receives=1.03,
)
MARGIN_BYTES = 1.15
"""Objects differ in size between versions of Python (3.13: 0.2 %), and dicts grow by leaps."""


def hold(name: str, cost: Work) -> None:
    """Fail where a cost is above what was counted, and the margin."""
    margins, counted_then = attrs.asdict(MARGIN), attrs.asdict(COUNTED[name])
    limits = {kind: margins[kind] * value + 0.01 for kind, value in counted_then.items()}
    dearer = {
        kind: f"{value:.2f} instead of {counted_then[kind]:.2f}"
        for kind, value in attrs.asdict(cost).items()
        if value > limits[kind]
    }
    assert not dearer, f"a {name} got dearer"


def test_one_more_member_costs_a_message_one_write_and_a_few_calls():
    """No task, queue or actor's inbox for each member; nothing encoded or framed for each."""
    cost = per_delivery()
    assert cost.steps == 0
    hold("delivery", cost)


def test_a_publish_crosses_few_tasks_until_its_ack():
    """No further task or queue on the way in, nothing decoded or checked twice, nothing encoded for
    nobody, no pass in which the room waits for others where nobody else speaks."""
    hold("publish", per_publish())


def test_a_durable_publish_crosses_the_archive_once():
    """The same through the archive; the store is a fake, so its own work is not in it."""
    hold("durable publish", per_publish(room=DURABLE))


def test_a_commit_to_sqlite_takes_the_drivers_way():
    """Six statements through Core, and Trio's way into a thread, took 570 calls; one statement for
    each message instead of one for all shows too."""
    assert per_commit() <= MARGIN.calls * COUNTED_COMMIT
    assert per_committed_message() <= MARGIN.calls * COUNTED_COMMITTED_MESSAGE


def test_what_comes_together_is_handled_and_sent_together():
    """32 PUBLISHes in a segment, 9 other members: 288 deliveries and 32 ACKs, in ten writes.

    A room that does not collect, or a write for each message, shows.
    """
    hold("publish of 32 to 9", per_batched_publish())


def test_a_message_is_encoded_once_for_each_codec_whoever_gets_it(monkeypatch):
    """Twenty members of one codec and ten of another: two encodings a message, not thirty."""
    encoded = Counter()

    def count(codec):
        encode = type(codec).encode

        def counting(self, message):
            encoded[codec.subprotocol, type(message)] += 1
            return encode(self, message)

        monkeypatch.setattr(type(codec), "encode", counting)

    async def script(scene):
        for number in range(10):
            client = await scene.connect(subprotocol=PROTOBUF_CODEC.subprotocol)
            token = scene.stage.token(f"p{number}")
            for command in (Auth(id=1, token=token), Join(id=2, room=EPHEMERAL)):
                client.send_bytes(frame(2, PROTOBUF_CODEC.encode(command)))
            await scene.settle()
        await publish_singly(scene, members=20, publishes=7)

    for codec in CODECS:
        count(codec)
    play(script)
    assert encoded[PROTOBUF_CODEC.subprotocol, Join] == 10  # the script's own: it does count
    assert all(encoded[codec.subprotocol, Message] <= 7 for codec in CODECS)


def test_a_connect_is_one_message_to_the_registry():
    """Handshake, AUTH and JOIN into a room that exists. There is one registry for all: a second
    question from each is what a crowd that comes back would queue for."""
    cost, by_task = play(connect)
    assert by_task["node/registry"] <= 20
    hold("connect", cost)


def test_an_idle_connection_is_woken_for_its_heartbeats_only():
    """Three HEARTBEATs a minute, each with its answer, some three steps each.

    A timer that polls shows: at 10,000 connections a wake-up of each a second is a core's work.
    """
    cost, answered = play(idle)
    assert answered == 3 * 20
    hold("idle minute", cost)


def test_an_idle_connection_takes_little_memory():
    """No buffer, logger or table for each connection.

    Of Python's own objects; the kernel's buffers and the allocator's slack come to it.
    """
    assert bytes_per_connection() <= MARGIN_BYTES * COUNTED_BYTES


FIGURES = {
    "delivery": per_delivery,
    "publish": per_publish,
    "durable publish": lambda: per_publish(room=DURABLE),
    "publish of 32 to 9": per_batched_publish,
    "connect": per_connect,
    "idle minute": per_idle_minute,
}

if __name__ == "__main__":
    for name, figure in FIGURES.items():
        counts = ", ".join(f"{kind}={value:.2f}" for kind, value in attrs.asdict(figure()).items())
        print(f'    "{name}": Work({counts}),')
    print(f"COUNTED_COMMIT = {per_commit():.1f}")
    print(f"COUNTED_COMMITTED_MESSAGE = {per_committed_message():.1f}")
    print(f"COUNTED_BYTES = {bytes_per_connection():,.0f}")
