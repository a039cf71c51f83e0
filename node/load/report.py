"""What a run came to, for people and for machines. Pure: from a `Result` to text and to a dict.

The dict is what `--json` prints. Its keys are described in docs/how-to/measure-load.md; within a
`format` they are only added, never renamed.
"""

from collections.abc import Mapping
from typing import Any, Final

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from greenroom.node.load.plan import Plan
from greenroom.node.load.record import Histogram, Record
from greenroom.node.load.run import Result

FORMAT: Final = 1
PERCENTILES: Final = (50, 90, 99, 99.9)
LATE_SHARE: Final = 0.25
"""Of the slowest percent's latency: beyond it the tool itself may be what was measured."""
BUSY_SHARE: Final = 0.8
"""Of a core, for the same."""


def milliseconds(us: float) -> str:
    """A latency in as many digits as mean something: 0.84 ms, 12.3 ms, 1,204 ms, 12.0 s."""
    ms = us / 1000
    if ms >= 10_000:
        return f"{ms / 1000:,.1f} s"
    digits = 2 if ms < 10 else 1 if ms < 100 else 0
    return f"{ms:,.{digits}f} ms"


def as_json(result: Result, *, url: str, codec: str, started: str) -> dict[str, Any]:
    """The whole result in JSON's types; latencies are milliseconds.

    Args:
        result: Of the run.
        url: Of the node.
        codec: The subprotocol's name.
        started: Date and time (RFC 3339).
    """
    plan, record = result.plan, result.record
    return {
        "format": FORMAT,
        "ok": not result.lost,
        "interrupted": result.interrupted,
        "url": url,
        "codec": codec,
        "started": started,
        "plan": {
            "run": plan.run,
            "rooms": plan.rooms,
            "members": plan.members,
            "rate": plan.rate,
            "size": plan.size,
            "ramp_seconds": plan.ramp_seconds,
            "seconds": plan.seconds,
            "first_room": plan.room(0),
        },
        "seconds": {
            "ramp": round(result.ramp_seconds, 3),
            "sending": round(result.send_seconds, 3),
            "whole": round(result.whole_seconds, 3),
        },
        "connections": {
            "planned": plan.connections,
            "joined": record.joined,
            "absent": result.absent,
            "reconnects": record.reconnects,
            "per_second": round(_rate(record.joined, result.ramp_seconds), 1),
            "disconnects": dict(record.disconnects.most_common()),
        },
        "messages": {
            "planned": plan.messages,
            "sent": record.sent,
            "acknowledged": record.acknowledged,
            "refused": record.refused,
            "unanswered": record.in_flight(),
            "errors": {str(code): count for code, count in record.errors.most_common()},
        },
        "deliveries": {
            "delivered": record.delivered,
            "per_second": round(_rate(record.delivered, result.whole_seconds), 1),
            "missing": result.missing,
            "doubled": record.doubled,
            "gaps": record.gaps,
            "of_others": record.other,
        },
        "latency_ms": {
            "connect": _latency(record.connect),
            "ack": _latency(record.ack.whole()),
            "delivery": _latency(record.delivery.whole()),
            "tool_late": _latency(record.lateness),
        },
        "timeline": [
            {"at_seconds": round(at, 3), **_latency(histogram)} for at, histogram in record.delivery
        ],
        "tool_cpu_share": round(result.cpu_share, 3),
    }


def _latency(histogram: Histogram) -> dict[str, float]:
    values = {
        "count": histogram.count,
        "mean": round(histogram.mean_us / 1000, 3),
    }
    for percent in PERCENTILES:
        name = f"p{percent:g}".replace(".", "_")
        values[name] = histogram.percentile(percent) / 1000
    return {**values, "max": histogram.max_us / 1000}


def _rate(count: float, seconds: float) -> float:
    return count / seconds if seconds > 0 else 0.0


LIMITS: Final[Mapping[str, tuple[str, str]]] = {
    "error 111": (
        "commands came too fast",
        "publish_rate, user_rates and address_rates (in large rooms room_egress_rate)",
    ),
    "4007": ("connections were closed for their rate", "publish_rate, frame_rate and user_rates"),
    "4504": ("connections were too many of one user", "max_connections_per_user"),
    "HTTP 429": (
        "connections were too many of one address",
        "max_connections_per_address and connect_rate",
    ),
    "HTTP 503": ("connections were too many for the node", "max_connections"),
}
"""What a limit of the node says to a member: {that: (what it means, what raises it)}."""


def headline(plan: Plan) -> str:
    """What was asked for, in a line."""
    rooms = f"{plan.rooms:,} room{'s' * (plan.rooms != 1)} of {plan.members:,}"
    return (
        f"{rooms}, {plan.rate:,g} messages/s of {plan.size:,} bytes for {plan.seconds:g} s "
        f"({plan.deliveries_per_second:,.0f} deliveries/s)"
    )


def summary(result: Result, *, url: str) -> RenderableType:
    """The result as a person wants it: verdict last, where the eye is."""
    parts: list[RenderableType] = [
        Text(),
        Text.assemble(("greenroom load ", "bold"), (url, "cyan")),
        Text(headline(result.plan), "dim"),
        Text(),
        _latencies(result),
        Text(),
        _counts(result),
        Text(),
        *(Text(f"! {line}", "yellow") for line in cautions(result)),
        _verdict(result),
    ]
    return Group(*parts)


def _latencies(result: Result) -> Table:
    record = result.record
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="dim")
    table.add_column("latency", no_wrap=True)
    for percent in PERCENTILES:
        table.add_column(f"p{percent:g}", justify="right", no_wrap=True)
    table.add_column("max", justify="right", no_wrap=True)
    table.add_column("count", justify="right", style="dim", no_wrap=True)
    rows = (
        ("connect", record.connect, ""),
        ("to ACK", record.ack.whole(), ""),
        ("to delivery", record.delivery.whole(), "bold"),
        ("tool late", record.lateness, "dim"),
    )
    for name, histogram, style in rows:
        values = [histogram.percentile(percent) for percent in PERCENTILES]
        cells = [milliseconds(value) if histogram.count else "-" for value in values]
        highest = milliseconds(histogram.max_us) if histogram.count else "-"
        table.add_row(name, *cells, highest, f"{histogram.count:,}", style=style)
    return table


def _counts(result: Result) -> Table:
    record, plan = result.record, result.plan
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column()
    connected = f"{record.joined:,} of {plan.connections:,} in {result.ramp_seconds:.1f} s"
    if record.reconnects:
        connected += f", {record.reconnects:,} came back"
    table.add_row("connections", connected)
    answered = f"{record.sent:,} sent, {record.acknowledged:,} acknowledged"
    if record.refused:
        answered += f", {record.refused:,} refused"
    if record.in_flight():
        answered += f", {record.in_flight():,} without an answer"
    table.add_row("messages", answered)
    rate = _rate(record.delivered, result.whole_seconds)
    table.add_row("deliveries", f"{record.delivered:,}, {rate:,.0f}/s")
    for name, counts in (("disconnects", record.disconnects), ("errors", record.errors)):
        if counts:
            table.add_row(name, _listed(counts))
    if record.gaps:
        table.add_row("gaps", f"{record.gaps:,}")
    if record.other:
        table.add_row("others'", f"{record.other:,} messages of somebody else in these rooms")
    return table


def _listed(counts: Mapping[Any, int]) -> str:
    # Any: error codes are numbers, reasons are words; both are shown as they are.
    ordered = sorted(counts.items(), key=lambda item: -item[1])
    return ", ".join(f"{name}: {count:,}" for name, count in ordered)


def cautions(result: Result) -> list[str]:
    """What to know before one believes the figures."""
    record = result.record
    lines: list[str] = []
    late = record.lateness.percentile(99)
    slow = record.delivery.whole().percentile(99)
    if result.cpu_share > BUSY_SHARE:
        lines.append(
            f"this tool used {result.cpu_share:.0%} of a core: it may be what was measured"
        )
    elif late > LATE_SHARE * slow and record.delivery.whole().count:
        lines.append(
            f"{milliseconds(late)} of the p99 may be this tool's own lateness: give it a core "
            "of its own"
        )
    if record.sent < result.plan.messages and not result.interrupted:
        lines.append(f"only {record.sent:,} of {result.plan.messages:,} messages were sent")
    return lines + refused_by_limits(record)


def refused_by_limits(record: Record) -> list[str]:
    """Which of the node's limits were in the way, and what raises them."""
    counts = {f"error {int(code)}": count for code, count in record.errors.items()}
    counts |= record.disconnects
    return [
        f"{said}: {counts[said]:,} {what}; the node's settings {settings} raise that limit"
        for said, (what, settings) in LIMITS.items()
        if said in counts
    ]


def _verdict(result: Result) -> Text:
    record = result.record
    wrong: list[str] = []
    if result.missing:
        wrong.append(f"{result.missing:,} deliveries of acknowledged messages are missing")
    if record.doubled:
        wrong.append(f"{record.doubled:,} came twice")
    if result.absent:
        wrong.append(f"{result.absent:,} members were not in their room at the end")
    ended = "interrupted; " if result.interrupted else ""
    if wrong:
        return Text(f"✗ {ended}{'; '.join(wrong)}", "bold red")
    if not record.acknowledged:
        return Text(f"✓ {ended}all members stayed in their rooms", "bold green")
    return Text(f"✓ {ended}every acknowledged message reached every member, once", "bold green")
