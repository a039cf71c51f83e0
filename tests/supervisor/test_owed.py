"""What an actor keeps of the answers it has given: nothing."""

import gc
import weakref

import attrs

from greenroom.supervisor import ChildSpec, Completion, Inbox, Request, open_supervisor
from greenroom.supervisor.testing import settle


class Page:
    """A large answer."""


@attrs.frozen
class Read(Request[Page]):
    """Answered later, from a `ReplyTo` that was taken."""


async def library(inbox: Inbox, pages: list, *, task_status):
    """Take each reply, and answer it with a page that nobody else keeps."""
    task_status.started()
    async for _ in inbox:
        reply_to = inbox.take_reply()
        page = Page()
        pages.append(weakref.ref(page))
        reply_to.reply(page)
        del page, reply_to


async def test_an_answer_given_by_a_taken_reply_is_not_kept(autojump_clock):
    pages = []
    async with open_supervisor([ChildSpec(id="library", start=library, args=(pages,))]) as sup:
        for _ in range(40):
            await sup.ref("library").ask(Read())
        gc.collect()
        assert sum(page() is not None for page in pages) == 0


async def test_an_answer_that_came_as_a_completion_is_not_kept(autojump_clock):
    pages, read = [], []

    async def reader(inbox, *, task_status):
        task_status.started()
        for _ in range(40):
            await inbox.send_request(inbox.supervisor.ref("library"), Read(), label=None)
            assert isinstance(await inbox.receive(), Completion)
            read.append(1)
        await inbox.receive()

    children = [
        ChildSpec(id="library", start=library, args=(pages,)),
        ChildSpec(id="reader", start=reader),
    ]
    async with open_supervisor(children):
        await settle()
        assert len(read) == 40
        gc.collect()
        assert sum(page() is not None for page in pages) <= 1  # the reader's last, in its hand
