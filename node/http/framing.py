"""Where a request ends: head and framed body told from what follows, with no socket in sight."""

import h11


class RequestFrame:
    """The bytes of one request, taken off a connection as they come.

    h11 does the counting, as in Hypercorn, so that both always agree on what is body.
    """

    def __init__(self) -> None:
        self._parser = h11.Connection(h11.SERVER)
        self.ended = False
        """Whether the request is whole; nothing may be taken after that."""

    def take(self, data: bytes) -> tuple[bytes, bytes]:
        """Split what came in, never empty, into this request's bytes and what follows it."""
        self._parser.receive_data(data)
        try:
            while (event := self._parser.next_event()) is not h11.NEED_DATA:
                if isinstance(event, h11.EndOfMessage):
                    self.ended = True
                    rest = self._parser.trailing_data[0]
                    return data[: len(data) - len(rest)], rest
        except h11.RemoteProtocolError:
            pass  # Hypercorn will find the same, answer, and close: nothing follows
        return data, b""
