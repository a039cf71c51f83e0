"""The frame reader and wsproto find the same in whatever a client sends."""

from itertools import pairwise

from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.wire import frame
from wsproto import ConnectionType
from wsproto.connection import Connection
from wsproto.events import BytesMessage, CloseConnection, Ping, TextMessage
from wsproto.utilities import RemoteProtocolError

from greenroom.actors.connection import frame_reader
from greenroom.actors.connection.ending import Ending
from greenroom.actors.connection.frame_reader import FrameReader

LIMIT = 1_000_000  # wsproto has none

payloads = st.one_of(
    st.binary(max_size=6),
    st.text(max_size=6).map(str.encode),
    st.sampled_from([b"x" * 125, b"x" * 126, b"x" * 70_000, "€".encode()[:2], "€".encode()[2:]]),
    st.integers(990, 5010).map(lambda code: code.to_bytes(2, "big")),
)
good_frames = st.builds(
    frame,
    st.sampled_from([0, 0, 0, 1, 1, 1, 2, 9, 10, 8]),
    payloads,
    fin=st.booleans(),
)
any_frames = st.builds(frame, st.integers(0, 15), payloads, fin=st.booleans(), masked=st.booleans())
spoiled = st.builds(
    lambda data, place, byte: data[:place] + bytes([byte]) + data[place + 1 :],
    good_frames,
    st.integers(0, 13),
    st.integers(0, 255),
)
streams = st.lists(st.one_of(good_frames, good_frames, good_frames, any_frames, spoiled)).map(
    b"".join
)


def found_by_us(segments: list[bytes]) -> list[object]:
    reader = FrameReader(LIMIT)
    found: list[object] = []
    for segment in segments:
        reader.feed(segment, 0.0)
        while (message := reader.next_message()) is not None:
            match message:
                case Ending():
                    return [*found, ("end", message.heard or int(message.close))]
                case frame_reader.Ping():
                    found.append(("ping", message.payload))
                case _:
                    found.append(message)
    return found


def found_by_wsproto(data: bytes) -> list[object]:
    connection = Connection(ConnectionType.SERVER)
    found: list[object] = []
    parts: list = []
    connection.receive_data(data)
    try:
        for event in connection.events():
            match event:
                case TextMessage() | BytesMessage():
                    parts.append(event.data if isinstance(event.data, str) else bytes(event.data))
                    if event.message_finished:
                        found.append(type(parts[0])().join(parts))
                        parts = []
                case Ping():
                    found.append(("ping", bytes(event.payload)))
                case CloseConnection():
                    return [*found, ("end", int(event.code))]  # violations too
                case _:
                    pass
    except RemoteProtocolError as error:
        return [*found, ("end", int(error.event_hint.code))]
    return found


@settings(max_examples=300)
@example(b"\x81\x87\x01\x02\x03\x04\x00\x80\x01\x02\x03\x04", [])
@given(streams, st.lists(st.integers(0, 200), max_size=5))
def test_both_find_the_same_wherever_the_segments_end(data, cuts):
    """Where the last frame is not whole, one may know its end already, and the other waits."""
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    segments = [data[start:end] for start, end in pairwise(places)] or [data]
    ours, theirs = found_by_us(segments), found_by_wsproto(data)
    assert ours == found_by_us([data])
    if len(theirs) > len(ours):
        assert theirs == [*ours, ("end", 1007)]  # what has come of a text is wrong already
        ours = found_by_us([data + bytes(LIMIT)])[: len(theirs)]  # whole
    assert ours[: len(theirs)] == theirs
    assert [kind for kind, _ in ours[len(theirs) :]] in ([], ["end"])
