"""The block of an `async with` around a tree: it counts as the child that started last."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import TYPE_CHECKING

import trio
from trio.lowlevel import enable_ki_protection

from ._errors import StartFailed

if TYPE_CHECKING:
    from ._supervisor import Supervisor
    from ._tree import Tree


class Host(AbstractAsyncContextManager["Supervisor"]):
    """Runs a tree in a task of its own around a block, and raises what both ended with.

    A class, as Trio's own nursery manager: its two methods are protected from KeyboardInterrupt. A
    generator is not while contextlib drives it; an interrupt there would leave a tree that nobody
    tells to stop.
    """

    def __init__(self, make_tree: Callable[[], Tree]) -> None:
        self._make_tree = make_tree

    @enable_ki_protection
    async def __aenter__(self) -> Supervisor:
        self._tree = tree = self._make_tree()
        self._nursery = trio.open_nursery()
        nursery = await self._nursery.__aenter__()
        nursery.start_soon(tree.run, name=tree.root.path)
        try:
            await tree.opened.wait()
        except BaseException as exc:  # noqa: BLE001  Cancelled, KeyboardInterrupt: raised in _end
            await self._end([exc])
        if not tree.started:
            await self._end([])
            _raise_all([StartFailed(tree.root.path)])  # `Supervisor.stop` came first
        tree.host.__enter__()
        return tree.root.handle

    @enable_ki_protection
    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> bool | None:
        errors: list[BaseException] = []
        try:
            if not self._tree.host.__exit__(exc_type, exc, tb) and exc is not None:
                errors.append(exc)
        except BaseException as rest:  # noqa: BLE001  what the scope left of a group
            errors.append(rest)
        await self._end(errors)
        return True  # what was raised in the block was the cancel by the tree's own end

    async def _end(self, errors: list[BaseException]) -> None:
        """Stop the tree, wait for it, and raise `errors` with what came meanwhile."""
        tree = self._tree
        tree.host_done.set()
        errors.extend(await tree.close())
        try:
            await self._nursery.__aexit__(None, None, None)
        except BaseExceptionGroup as group:  # an interrupt: the tree's task itself never raises
            errors.extend(group.exceptions)
        errors.extend(tree.take_errors())
        _raise_all(errors)


def _raise_all(errors: list[BaseException]) -> None:
    """Raise as a nursery does: in a group, except that Cancelled alone stays Cancelled."""
    try:
        if len(errors) == 1 and isinstance(errors[0], trio.Cancelled):
            raise errors[0]
        if errors:
            raise BaseExceptionGroup("the supervision tree ended", [*errors]) from None
    finally:
        errors.clear()  # the traceback holds this frame
