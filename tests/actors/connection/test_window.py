"""The window: reading stops when too much has no answer yet."""

from greenroom.actors.connection.window import Window


def window_of(log: list, **settings) -> Window:
    return Window(
        **{"max_commands": 2, "max_bytes": 100, **settings},
        on_stop=lambda: log.append("stop"),
        on_go=lambda: log.append("go"),
    )


def test_reading_stops_at_the_bound_and_goes_on_with_an_answer():
    log: list = []
    window = window_of(log)
    first = window.open(1)
    assert not window.is_full
    window.open(1)
    assert window.is_full
    window.stop()
    window.stop()
    assert log == ["stop"]
    first.done()
    first.done()  # twice is once
    assert log == ["stop", "go"]
    assert window.commands == 1


def test_bytes_count_too():
    window = window_of([], max_commands=100)
    window.open(99)
    assert not window.is_full
    window.open(1)
    assert window.is_full
