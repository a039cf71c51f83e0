"""`greenroom load`, from its options to its exit code; the command line itself is `node.cli`'s."""

import signal
import ssl
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from random import Random
from typing import Final

import attrs
import orjson
import trio
from rich.console import Console

from greenroom.client import Target, parse_url
from greenroom.node.errors import NodeError
from greenroom.node.load.live import show_progress
from greenroom.node.load.picture import draw
from greenroom.node.load.plan import LoadOptionError, Plan
from greenroom.node.load.report import as_json, summary
from greenroom.node.load.run import Load, Result, one_error
from greenroom.node.load.stamp import RUN_CHARS
from greenroom.node.load.tokens import TokenOf, given_token, guest_tokens, signed_tokens
from greenroom.protocol import CODECS, Codec

if sys.platform != "win32":  # which has no such limits
    import resource

LOST: Final = 1
INTERRUPTED: Final = 130
SPARE_DESCRIPTORS: Final = 64
CODEC_NAMES: Final = tuple(codec.subprotocol.rpartition(".")[2] for codec in CODECS)
DURABLE_PREFIX: Final = "load-"
EPHEMERAL_PREFIX: Final = "ephemeral:load-"


@attrs.frozen(kw_only=True)
class Output:
    """Where things are written."""

    results: Console
    """The summary, or the JSON: stdout."""
    progress: Console
    """How it is getting on: stderr."""
    json: bool
    picture: Path | None


def make_plan(
    *,
    rooms: int,
    members: int,
    rate: float,
    size: int,
    ramp: float,
    seconds: float,
    durable: bool,
    prefix: str | None,
    random: Random,
) -> Plan:
    """The plan of a run that no other has the rooms of.

    Raises:
        LoadOptionError: An option is no good.
    """
    if prefix is None:
        prefix = DURABLE_PREFIX if durable else EPHEMERAL_PREFIX
    return Plan(
        run=f"{random.getrandbits(4 * RUN_CHARS):0{RUN_CHARS}x}",
        rooms=rooms,
        members=members,
        rate=rate,
        size=size,
        ramp_seconds=ramp,
        seconds=seconds,
        prefix=prefix,
    )


def choose_codec(name: str) -> Codec:
    """The codec of that name.

    Raises:
        LoadOptionError: There is none.
    """
    if name not in CODEC_NAMES:
        raise LoadOptionError(f"--codec must be one of {', '.join(CODEC_NAMES)}, not {name!r}")
    return CODECS[CODEC_NAMES.index(name)]


def read_target(url: str) -> Target:
    """Where the node is.

    Raises:
        LoadOptionError: That is no WebSocket's URL.
    """
    try:
        return parse_url(url)
    except (ValueError, ssl.SSLError) as error:
        raise LoadOptionError(str(error)) from None


def choose_tokens(
    target: Target, *, given: str | None, guest: bool, sign: Callable[[], Callable[[str], str]]
) -> TokenOf:
    """Guests where that was asked for, else the token that was given, else our own signature.

    Args:
        target: Where guests ask.
        given: What GREENROOM_TOKEN says.
        guest: Ask the node for guests' tokens.
        sign: Makes what signs a token for a user; called only if it is needed.
    """
    if guest:
        return guest_tokens(target)
    if given:
        return given_token(given)
    return signed_tokens(sign())


async def load(
    plan: Plan, *, url: str, target: Target, codec: Codec, token: TokenOf, output: Output
) -> int:
    """Run the plan against a node, show it, and say how it went by the exit code.

    SIGINT and SIGTERM end the sending; what was sent is still awaited and summed up. A second one
    ends at once.

    Returns:
        0; 1 if the node lost or doubled messages, or members; 130 if it was interrupted and
        nothing was lost.

    Raises:
        NodeError: There is no load: nobody gets in, or the picture's file can't be written.
    """
    allow_descriptors(plan.connections + SPARE_DESCRIPTORS)
    if output.picture is not None:
        _write(output.picture, "")  # now rather than when all is done
    started = datetime.now(UTC).isoformat(timespec="seconds")
    run = Load(plan, target=target, codec=codec, token=token)
    with one_error(NodeError):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_stop_on_signal, run.stop)
            nursery.start_soon(partial(show_progress, run, output.progress, url=url))
            result = await run.run()
            nursery.cancel_scope.cancel()
    _show(result, url=url, codec=codec, started=started, output=output)
    if result.lost:
        return LOST
    return INTERRUPTED if result.interrupted else 0


def allow_descriptors(wanted: int) -> None:
    """Raise this process's limit of open files to what the connections need.

    Raises:
        LoadOptionError: The system does not let us; the text says what it lets.
    """
    if sys.platform == "win32":
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or wanted <= soft:
        return
    if hard != resource.RLIM_INFINITY and wanted > hard:
        raise LoadOptionError(
            f"{wanted - SPARE_DESCRIPTORS} connections need {wanted} open files, and the limit of "
            f"this shell is {hard} (ulimit -Hn)"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


async def _stop_on_signal(stop: Callable[[], object]) -> None:
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        asked = False
        async for _ in signals:
            if asked:
                raise KeyboardInterrupt
            asked = True
            stop()


def _show(result: Result, *, url: str, codec: Codec, started: str, output: Output) -> None:
    if output.json:
        data = as_json(result, url=url, codec=codec.subprotocol, started=started)
        text = orjson.dumps(data, option=orjson.OPT_INDENT_2).decode()
        print(text, file=output.results.file)  # rich would wrap and colour it
    else:
        output.results.print(summary(result, url=url))
    if output.picture is not None:
        _write(output.picture, draw(result, url=url, started=started))


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise LoadOptionError(f"--picture {path}: {error.strerror}") from None
