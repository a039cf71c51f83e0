"""Pykka: actors on threads, proxies left out because `tell` and `ask` are its faster way."""

from time import perf_counter
from typing import Any

import pykka
from measure import idle_bytes, main


class Counter(pykka.ThreadingActor):
    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def on_receive(self, message: Any) -> int:
        self.count += 1
        return self.count


def tell(n: int) -> float:
    """Pykka's inboxes have no bound, so nobody waits before the last answer."""
    actor = Counter.start()
    begin = perf_counter()
    for number in range(n):
        actor.tell(number)
    actor.ask("done")
    elapsed = perf_counter() - begin
    actor.stop()
    return elapsed


def ask(n: int) -> float:
    actor = Counter.start()
    begin = perf_counter()
    for number in range(n):
        actor.ask(number)
    elapsed = perf_counter() - begin
    actor.stop()
    return elapsed


def spawn_stop(n: int) -> float:
    begin = perf_counter()
    for _ in range(n):
        Counter.start().stop()
    return perf_counter() - begin


def memory(n: int) -> float:
    with idle_bytes(n) as measured:
        actors = [Counter.start() for _ in range(n)]
    for actor in actors:
        actor.stop(block=False)
    return measured.per_item


def children(n: int) -> float:
    begin = perf_counter()
    for _ in range(n):
        Counter.start()
    pykka.ActorRegistry.stop_all()
    return perf_counter() - begin


if __name__ == "__main__":
    main(globals(), lambda measure, n: measure(n))
