"""How a run is getting on: a small panel on a terminal, now and then a line anywhere else."""

from collections.abc import Sequence
from typing import Final

import trio
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from greenroom.node.load.report import headline, milliseconds
from greenroom.node.load.run import Load

LOOK_SECONDS: Final = 0.25
LINE_SECONDS: Final = 5.0
"""A line comes so often, and whenever a new phase begins."""
RECENT_US: Final = 5_000_000
"""The latencies shown are those of messages that were due in the last five seconds."""

_BARS: Final = "▁▂▃▄▅▆▇█"
_SPARKS: Final = 40
_BAR_WIDTH: Final = 40


async def show_progress(load: Load, console: Console, *, url: str) -> None:
    """Show `load` until cancelled; what a terminal shows is gone afterwards."""
    if console.is_terminal:
        with Live(console=console, auto_refresh=False, transient=True) as live:
            while True:
                live.update(panel(load, url), refresh=True)
                await trio.sleep(LOOK_SECONDS)
    else:
        phase, shown_at = "", 0.0
        while True:
            now = trio.current_time()
            if load.phase != phase or now - shown_at >= LINE_SECONDS:
                phase, shown_at = load.phase, now
                console.print(line(load), soft_wrap=True)
            await trio.sleep(LOOK_SECONDS)


def line(load: Load) -> str:
    """One line, for logs."""
    record = load.record
    recent = record.delivery.since(load.now_us - RECENT_US)
    parts = [
        load.phase,
        f"{record.connected:,}/{load.plan.connections:,} connected",
        f"{record.sent:,}/{load.plan.messages:,} sent",
        f"{record.acknowledged:,} acknowledged",
        f"{record.delivered:,} delivered",
    ]
    if recent.count:
        parts.append(f"p50 {milliseconds(recent.percentile(50))}")
        parts.append(f"p99 {milliseconds(recent.percentile(99))}")
    if record.errors:
        parts.append(f"{record.errors.total():,} errors")
    if record.disconnects:
        parts.append(f"{record.disconnects.total():,} disconnects")
    return ", ".join(parts)


def panel(load: Load, url: str) -> RenderableType:
    """What a terminal shows while the run goes on."""
    record, plan = load.record, load.plan
    recent = record.delivery.since(load.now_us - RECENT_US)
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_row(
        "connected",
        ProgressBar(plan.connections, record.connected, width=_BAR_WIDTH),
        f"{record.connected:,} of {plan.connections:,}",
    )
    table.add_row(
        "sent",
        ProgressBar(max(1, plan.messages), record.sent, width=_BAR_WIDTH),
        f"{record.sent:,} of {plan.messages:,}, {record.in_flight():,} without an answer",
    )
    lines = [each for _, each in record.delivery][-_SPARKS:]
    table.add_row(
        "latency",
        Text(sparkline([each.percentile(99) for each in lines]), "cyan"),
        f"p50 {milliseconds(recent.percentile(50))}, p99 {milliseconds(recent.percentile(99))}",
    )
    table.add_row("delivered", f"{record.delivered:,}, {_per_second(load):,.0f}/s", "")
    trouble = [f"error {code}: {count:,}" for code, count in record.errors.most_common()]
    trouble += [f"{reason}: {count:,}" for reason, count in record.disconnects.most_common()]
    if record.doubled:
        trouble.append(f"doubled: {record.doubled:,}")
    if trouble:
        table.add_row("trouble", Text(", ".join(trouble), "yellow"), "")
    return Group(
        Text.assemble(("greenroom load ", "bold"), (url, "cyan"), f"  {load.phase}"),
        Text(headline(plan), "dim"),
        table,
        Text("Ctrl+C ends it in order", "dim"),
    )


def _per_second(load: Load) -> float:
    seconds = (load.now_us - load.sending_from_us) / 1e6
    return load.record.delivered / seconds if seconds > 0 else 0.0


def sparkline(values: Sequence[float]) -> str:
    """A bar for each value, the highest one full. Linear from zero: twice as high is twice."""
    highest = max(values, default=0)
    if highest <= 0:
        return ""
    steps = len(_BARS) - 1
    return "".join(_BARS[round(steps * max(0.0, value) / highest)] for value in values)
