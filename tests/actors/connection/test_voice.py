"""What one connection has said in one room, through crashes of that room."""

from support.cast_pieces import Sink, message

from greenroom.actors.connection.subscription import Subscription
from greenroom.actors.connection.voice import MOST_ATTEMPTS, Said, Voice
from greenroom.actors.connection.window import Window
from greenroom.protocol import JSON_CODEC, ErrorCode


class Stage:
    def __init__(self, *, stored: bool = True) -> None:
        self.quiet = 0
        self.sink = Sink()
        self.put_off: list[tuple[str, float]] = []
        self.voice = Voice(
            "lobby", None, stored=stored, on_quiet=self._count, on_put_off=self._count_put_off
        )
        self.window = Window(
            max_commands=64, max_bytes=10_000, on_stop=lambda: None, on_go=lambda: None
        )
        self.member = Subscription(
            room="lobby",
            session="s",
            user="ann",
            connection=None,
            codec=JSON_CODEC,
            outbox=self.sink,
        )

    def _count(self, _) -> None:
        self.quiet += 1

    def _count_put_off(self, room: str, seconds: float) -> None:
        self.put_off.append((room, seconds))

    def say(self, content: str) -> Said:
        ticket = self.window.open(len(content))
        said = Said(self.voice, self.member, 7, f"k{content}", content, False, ticket, 1)
        self.voice.unanswered[said] = None
        return said


def test_after_a_crash_all_without_an_answer_is_said_again_oldest_first():
    stage = Stage()
    stage.voice.term = 1
    one, two, three = stage.say("1"), stage.say("2"), stage.say("3")
    two.finish()
    stage.voice.lost()
    assert stage.voice.unsent == [one, three]
    assert not stage.voice.may_send


def test_what_an_ephemeral_room_took_is_not_said_again():
    stage = Stage(stored=False)
    taken, waiting = stage.say("1"), stage.say("2")
    taken.attempts = 1
    stage.voice.lost()
    assert stage.voice.unsent == [waiting]
    assert [error["code"] for error in stage.sink.messages()] == [ErrorCode.INTERNAL]


def test_what_so_many_incarnations_took_and_crashed_is_said_no_more():
    stage = Stage()
    poison = stage.say("1")
    poison.attempts = MOST_ATTEMPTS - 1
    stage.voice.lost()
    assert stage.voice.unsent == [poison]
    poison.attempts = MOST_ATTEMPTS
    stage.voice.lost()
    assert stage.voice.unsent == []
    assert poison.answered


def test_an_answer_is_given_once_and_frees_the_window():
    stage = Stage()
    said = stage.say("1")
    assert said.ack(message(1), status=0, duplicate=False)
    said.finish()
    said.refuse(ErrorCode.INTERNAL)
    assert stage.sink.messages() == []
    assert stage.window.commands == 0


def test_the_last_answer_is_told_of():
    stage = Stage()
    one, two = stage.say("1"), stage.say("2")
    one.finish()
    assert stage.quiet == 0
    two.refuse(ErrorCode.NOT_AVAILABLE)
    assert stage.quiet == 1


def test_refusing_what_one_member_said_leaves_the_rest():
    stage = Stage()
    mine, other = stage.say("1"), stage.say("2")
    other.member = None
    stage.voice.refuse(ErrorCode.NOT_JOINED, of=stage.member)
    assert mine.answered
    assert not other.answered
