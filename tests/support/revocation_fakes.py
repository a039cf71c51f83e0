"""A store of revocations in memory, with switches for trouble."""

import trio

from greenroom.actors.ports import KeptRevocation, StoreUnavailable
from greenroom.actors.rights.revocations import MARGIN_MS


class FakeRevocations:
    """`RevocationStore`; other processes write to `rows` themselves."""

    def __init__(self) -> None:
        self.rows: list[KeptRevocation] = []
        self.away = False
        self.crash_next = 0
        """So many calls of `save` raise a bug."""
        self.loads: list[int] = []
        """After which number each `load` asked."""
        self.save_then_fail = 0
        """So many calls of `save` keep what they were given, and then say that nobody knows."""

    def put(self, *revocations, number=None) -> None:
        for revocation in revocations:
            after = self.rows[-1].number + 1 if self.rows else 1
            self.rows.append(KeptRevocation(number or after, revocation))
        self.rows.sort(key=lambda row: row.number)

    async def save(self, revocations, *, now_ms):
        await self._answer()
        if self.crash_next:
            self.crash_next -= 1
            raise RuntimeError("a bug in the store")
        self.put(*revocations)
        self.rows = [row for row in self.rows if row.revocation.until_ms + MARGIN_MS > now_ms]
        if self.save_then_fail:
            self.save_then_fail -= 1
            raise StoreUnavailable("the connection was lost")

    async def load(self, *, after, now_ms, limit):
        await self._answer()
        self.loads.append(after)
        rows = [
            row
            for row in self.rows
            if row.number > after and row.revocation.until_ms + MARGIN_MS > now_ms
        ]
        return rows[:limit]

    async def _answer(self):
        await trio.lowlevel.checkpoint()
        if self.away:
            raise StoreUnavailable("away")
