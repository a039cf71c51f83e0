"""A test that hangs fails alone: what pytest-timeout's signal does to a run of Trio is done gently.

Its own handler raises wherever the main thread is just then. Between two steps of Trio's loop that
leaves the run unfinished, and each later test ends with "Attempted to call run() from inside a
run()". Here the first signal has the run cancelled, from within; a test that goes on nevertheless,
behind a shield or without an `await`, is broken off as before, and its run is cleared away.
Each phase of each try has the whole time: pytest-timeout would give a second try none at all.
"""

import signal
import traceback
import warnings
from collections.abc import Iterator

import pytest
import pytest_timeout
import trio

GRACE_SECONDS = 10.0
"""From the cancellation until the test is broken off: what a shield in a fixture may take."""


class Alarm:
    """The timer of one test."""

    def __init__(self, item: pytest.Item, settings: pytest_timeout.Settings) -> None:
        self._item = item
        self._settings = settings
        self.verdict: pytest.fail.Exception | None = None
        """Why the phase that runs has to fail, once it has hung."""

    def wind(self) -> None:
        """Let it go off when the test's time is over, counted from now."""
        self.verdict = None
        signal.signal(signal.SIGALRM, lambda _number, _frame: self._ring())
        signal.setitimer(signal.ITIMER_REAL, self._settings.timeout)

    def stop(self) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)

    def _ring(self) -> None:
        first = self.verdict is None
        try:
            pytest_timeout.timeout_sigalrm(self._item, self._settings)  # shows all other threads
        except pytest.fail.Exception as verdict:
            self.verdict = verdict
            signal.setitimer(signal.ITIMER_REAL, GRACE_SECONDS)
            if not (first and trio.lowlevel.in_trio_run()):
                raise
            trio.lowlevel.current_trio_token().run_sync_soon(cancel_the_run)


def cancel_the_run() -> None:
    """Cancel the main function of this run, and so all that it has begun."""
    # Of Trio's own nurseries the main function is alone in the innermost.
    trio.lowlevel.current_root_task().child_nurseries[-1].cancel_scope.cancel()


def clear_the_run(error: BaseException) -> None:
    """Close the run that `error` has broken out of.

    `trio.run` steps a generator, its variable `gen`, and waits for the sockets between two steps:
    what is raised there leaves the generator as it is.
    """
    for frame, _line in traceback.walk_tb(error.__traceback__):
        if frame.f_code is trio.run.__code__:
            with warnings.catch_warnings(action="ignore"):  # it says that it was abandoned
                frame.f_locals["gen"].close()


ALARM = pytest.StashKey[Alarm]()


def pytest_timeout_set_timer(item: pytest.Item, settings: pytest_timeout.Settings) -> bool | None:
    """Take pytest-timeout's place, where it would use a signal."""
    if settings.method != "signal":
        return None
    alarm = item.stash[ALARM] = Alarm(item, settings)
    item.cancel_timeout = alarm.stop  # where pytest-timeout looks for it
    alarm.wind()
    return True


def guarded(item: pytest.Item) -> Iterator[None]:
    """One phase of a test, with a time of its own: if it hung, that is why it failed."""
    alarm = item.stash.get(ALARM, None)
    if alarm is None:
        return (yield)
    alarm.wind()  # pytest-timeout stops it at each failure
    try:
        result = yield
    except BaseException as error:
        if alarm.verdict is None:
            raise
        if trio.lowlevel.in_trio_run():
            clear_the_run(error)
        raise alarm.verdict from (None if error is alarm.verdict else error)
    if alarm.verdict is not None:
        raise alarm.verdict
    return result


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item):
    return (yield from guarded(item))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item):
    return (yield from guarded(item))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item):
    return (yield from guarded(item))
