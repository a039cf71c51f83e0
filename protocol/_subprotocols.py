"""The codecs of version 1, in the order a node prefers them when a client does not say."""

from collections.abc import Sequence
from typing import Final

from greenroom.protocol._codec import Codec, pick_codec
from greenroom.protocol._json import JSON_CODEC
from greenroom.protocol._protobuf import PROTOBUF_CODEC

CODECS: Final[tuple[Codec, ...]] = (JSON_CODEC, PROTOBUF_CODEC)

SUBPROTOCOLS: Final[tuple[str, ...]] = tuple(codec.subprotocol for codec in CODECS)
"""For the HTTP 400 that names ours."""


def choose_subprotocol(offered: Sequence[str]) -> Codec | None:
    """The codec for a client's `Sec-WebSocket-Protocol` (RFC 6455, 4.2.2).

    The first offered one that we know wins; a client that offers none gets JSON.

    Returns:
        None when only unknown ones are offered: answer with HTTP 400 that names `SUBPROTOCOLS`.
    """
    return pick_codec(offered, CODECS)
