"""What a node decides about a client's frames before anyone acts on them.

Handles for you: the frame's kind, decoding, which commands may come before AUTH, errors in a row.
Will not handle: sockets, time, tokens, rooms, limits on how many and how large.
"""

from greenroom.protocol._codec import Codec, DecodeError
from greenroom.protocol._codes import CloseCode, ErrorCode
from greenroom.protocol._commands import Auth, Heartbeat, History
from greenroom.protocol._limits import MAX_ERRORS_IN_A_ROW
from greenroom.protocol._messages import Command
from greenroom.protocol._pushes import Error


class ServerMachine:
    """One connection's side at the node: before AUTH, then ready.

    Args:
        codec: What the handshake agreed on.
    """

    __slots__ = (
        "_errors_in_a_row",
        "_ready",
        "codec",
    )

    def __init__(self, codec: Codec) -> None:
        self.codec = codec
        self._ready = False
        self._errors_in_a_row = 0

    def authenticated(self) -> None:
        """The last AUTH was good: every command may come now."""
        self._ready = True

    def receive(self, frame: str | bytes) -> Command | Error | CloseCode:
        """What to do about `frame`: obey the command, send the error, or close with the code."""
        if isinstance(frame, bytes) is not self.codec.binary:
            return CloseCode.WRONG_FRAME_KIND
        try:
            command = self.codec.decode_command(frame)
        except DecodeError as error:
            return self._wrong(error.code, error.id)
        if isinstance(command, Auth) and self._ready:
            return self._wrong(ErrorCode.BAD_REQUEST, command.id)
        if not self._ready and not isinstance(command, Auth | Heartbeat):
            return CloseCode.BAD_REQUEST
        if isinstance(command, History) and command.before and command.since:
            return self._wrong(ErrorCode.BAD_REQUEST, command.id)
        self._errors_in_a_row = 0
        return command

    def _wrong(self, code: ErrorCode, id: int | None) -> Error | CloseCode:
        self._errors_in_a_row += 1
        if self._errors_in_a_row >= MAX_ERRORS_IN_A_ROW:
            return CloseCode.TOO_MANY_ERRORS
        return Error.of(code, id=id)
