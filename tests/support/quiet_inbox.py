"""An inbox for what is served without a tree around it."""

import trio


class QuietInbox:
    """An inbox in which nothing ever arrives."""

    stopping = False

    def __aiter__(self):
        return self

    async def __anext__(self):
        await trio.sleep_forever()
