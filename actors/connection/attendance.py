"""What one connection does in its rooms, from AUTH to its end, and which part does it.

| command | part |
|---|---|
| JOIN, LEAVE, REFRESH | `entrance`: who comes in, who has to go |
| PUBLISH, TYPING | `publishing`: the way to the room |
| HISTORY, PRESENCE | `questions` |
| (a room crashed or ended) | `places`: getting back in |
"""

from collections.abc import Callable
from typing import Any

from greenroom.actors.cast import Cast
from greenroom.actors.connection.answering import Answering
from greenroom.actors.connection.entrance import Entrance
from greenroom.actors.connection.identity import Identity
from greenroom.actors.connection.meter import Meter
from greenroom.actors.connection.places import Places
from greenroom.actors.connection.publishing import Publishing
from greenroom.actors.connection.questions import Questions
from greenroom.supervisor import Inbox


class Attendance:
    """The parts of one connection that deal with rooms.

    Args:
        on_stuck: Called when `publishing.send_unsent` has to be, by a task that may wait.
    """

    __slots__ = ("entrance", "places", "publishing", "questions")

    def __init__(
        self,
        inbox: Inbox[Any],  # Any: they only ask and watch with it
        cast: Cast,
        identity: Identity,
        client: Answering,
        meter: Meter,
        *,
        on_stuck: Callable[[], object],
    ) -> None:
        limits = cast.services.limits
        self.places = Places(inbox, cast, identity, client, meter)
        self.entrance = Entrance(inbox, cast, identity, client, self.places)
        self.publishing = Publishing(
            inbox.ref, limits, client, self.places, meter, on_stuck=on_stuck
        )
        self.questions = Questions(inbox, limits, client, self.places)
