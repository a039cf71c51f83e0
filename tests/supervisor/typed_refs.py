"""What type checkers must infer, and refuse; checked by test_types.py, never run."""

from typing import assert_type

import attrs
import trio

from greenroom.supervisor import (
    Actor,
    ChildSpec,
    Completion,
    Inbox,
    Ref,
    Request,
    Supervisor,
    handles,
)


@attrs.frozen
class Add:
    n: int


@attrs.frozen
class Get(Request[int]):
    pass


@attrs.frozen
class Names(Request[list[str]]):
    pass


async def counter(
    inbox: Inbox[Add | Get], start: int, *, task_status: trio.TaskStatus[None]
) -> None:
    task_status.started()
    total = start
    async for message in inbox:
        assert_type(message, Add | Get)
        match message:
            case Add(n):
                total += n
            case Get():
                inbox.reply(total)


class Counter(Actor[Add | Get]):
    @handles(Add)
    async def add(self, message: Add) -> None:
        assert_type(self.inbox, Inbox[Add | Get])

    @handles(Get)
    def get(self, message: Get) -> int:
        return 1


async def the_reply_type_follows_from_the_request(ref: Ref[Get | Names]) -> None:
    assert_type(await ref.ask(Get()), int)
    assert_type(await ref.ask(Names()), list[str])


async def the_ref_s_type_follows_from_the_function(sup: Supervisor) -> None:
    ref = await sup.start_child(ChildSpec(id="c", start=counter, args=(1,)))
    assert_type(ref, Ref[Add | Get])
    await ref.tell(Add(1))
    await ref.tell("text")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ref.tell_nowait(3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def the_ref_s_type_follows_from_the_class(sup: Supervisor) -> None:
    ref = await sup.start_child(ChildSpec(id="c", start=Counter))
    assert_type(ref, Ref[Add | Get])


def a_ref_that_takes_more_serves_where_one_that_takes_less_is_wanted(ref: Ref[Add | Get]) -> None:
    narrow: Ref[Add] = ref
    wider: Ref[Add | Get | str] = ref  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    del narrow, wider


def a_completion_is_typed(completion: Completion[str, int]) -> None:
    assert_type(completion.label, str)
    assert_type(completion.unwrap(), int)


async def a_batch_is_typed(inbox: Inbox[Add]) -> None:
    for envelope in await inbox.receive_batch(10):
        assert_type(envelope.message, Add)
