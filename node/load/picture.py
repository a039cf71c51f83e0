"""A run as a picture: latency over time, and beside it, on the same scale, how it is distributed.

A pure function from numbers to SVG, which needs nothing to be looked at but a browser. Light or
dark follows the reader's own preference. The latency axis is logarithmic: the median and the
slowest message lie two or three powers of ten apart, and both matter.
"""

import math
from collections.abc import Iterator, Sequence
from html import escape
from typing import Final

import attrs

from greenroom.node.load.record import Histogram, Timeline, top_of
from greenroom.node.load.report import headline, milliseconds
from greenroom.node.load.run import Result

WIDTH: Final = 1000
HEIGHT: Final = 560
TOP: Final = 176
BOTTOM: Final = 500
LEFT: Final = 84
RIGHT: Final = 690
BARS_LEFT: Final = 730
BARS_RIGHT: Final = 905
BANDS: Final = 44
"""Rows of the histogram."""
NAME_HEIGHT: Final = 15.0

STYLE: Final = """\
text{font:13px system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;fill:#5b6472}
.back{fill:#fff}.title{font-size:21px;font-weight:650;fill:#16202e}
.big{font-size:23px;font-weight:650;fill:#16202e}
.good{fill:#0a7d4b}.bad{fill:#c8321f}
.grid{stroke:#e6e9ee}.axis{stroke:#c3cad4}
.most{stroke:#e0a33c;stroke-width:1.2;stroke-dasharray:2 3}
.p99{stroke:#d2572f;stroke-width:2}.p50{stroke:#1f7a8c;stroke-width:2.4}
.most,.p99,.p50{fill:none;stroke-linejoin:round;stroke-linecap:round}
.area{fill:#1f7a8c;opacity:.10}.bar{fill:#1f7a8c;opacity:.62}
.mark{stroke:#d2572f;stroke-width:1.4}
.end{text-anchor:end}.middle{text-anchor:middle}
@media(prefers-color-scheme:dark){text{fill:#9aa6b5}.back{fill:#10161d}
.title,.big{fill:#eef2f7}.grid{stroke:#222c37}.axis{stroke:#3a4756}
.good{fill:#3ecf8e}.bad{fill:#ff7a66}.p50{stroke:#4fc3d9}.area,.bar{fill:#4fc3d9}
.p99,.mark{stroke:#ff8f66}.most{stroke:#f2c25c}}"""


@attrs.frozen
class Scale:
    """Microseconds to a height, logarithmically, over whole powers of ten."""

    low_us: float
    high_us: float

    @classmethod
    def over(cls, values: Sequence[float]) -> "Scale":
        """The powers of ten around all `values`; 0.1 to 10 ms where there are none."""
        seen = [max(value, 1.0) for value in values] or [100.0, 10_000.0]
        low = 10.0 ** math.floor(math.log10(min(seen)))
        high = 10.0 ** math.ceil(math.log10(max(seen)))
        return cls(low, high if high > low else low * 10)

    def y(self, us: float) -> float:
        """Where a latency stands; what lies outside stands at the edge."""
        inside = min(max(us, self.low_us), self.high_us)
        part = math.log10(inside / self.low_us) / math.log10(self.high_us / self.low_us)
        return BOTTOM - part * (BOTTOM - TOP)

    def decades(self) -> Iterator[float]:
        """The powers of ten that it covers."""
        value = self.low_us
        while value <= self.high_us * 1.001:
            yield value
            value *= 10


def draw(result: Result, *, url: str, started: str) -> str:
    """The picture of a run, as the text of an SVG file."""
    delivery = result.record.delivery
    whole = delivery.whole()
    points = list(delivery)
    scale = Scale.over([v for _, e in points for v in (e.percentile(1), e.max_us)])
    verdict, style = ("nothing lost", "good") if not result.lost else ("messages lost", "bad")
    if result.absent and not result.missing and not result.record.doubled:
        verdict = "members lost"
    rate = result.record.delivered / result.whole_seconds if result.whole_seconds else 0
    facts = [
        (milliseconds(whole.percentile(50)), "median", "big"),
        (milliseconds(whole.percentile(99)), "p99", "big"),
        (milliseconds(whole.percentile(99.9)), "p99.9", "big"),
        (milliseconds(whole.max_us), "slowest", "big"),
        (f"{rate:,.0f}/s", "deliveries", "big"),
        (verdict, f"{whole.count:,} deliveries", f"big {style}"),
    ]
    title = "Publish to delivery"
    body = [
        f'<rect class="back" width="{WIDTH}" height="{HEIGHT}" rx="14"/>',
        _text(32, 42, title, "title"),
        _text(32, 64, headline(result.plan)),
        _text(WIDTH - 32, 42, url, "end"),
        _text(WIDTH - 32, 64, started, "end"),
        *(
            part
            for number, (value, name, style) in enumerate(facts)
            for part in (
                _text(32 + number * 157, 108, value, style),
                _text(32 + number * 157, 128, name),
            )
        ),
        *_grid(scale, max(result.send_seconds, 0.001)),
        *_lines(points, scale, max(result.send_seconds, 0.001)),
        *_bars(delivery, scale),
        *_legend(),
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'width="{WIDTH}" height="{HEIGHT}" role="img" aria-label="{escape(title)}">'
        f"<style>{STYLE}</style>\n" + "\n".join(body) + "\n</svg>\n"
    )


def _text(x: float, y: float, text: str, style: str = "") -> str:
    kind = f' class="{style}"' if style else ""
    return f'<text x="{x:g}" y="{y:g}"{kind}>{escape(text)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, style: str) -> str:
    return f'<line class="{style}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _grid(scale: Scale, seconds: float) -> Iterator[str]:
    for value in scale.decades():
        y = scale.y(value)
        yield _line(LEFT, y, RIGHT, y, "grid")
        yield _line(BARS_LEFT, y, BARS_RIGHT, y, "grid")
        name = f"{value / 1e6:,g} s" if value >= 1e6 else f"{value / 1000:,g} ms"
        yield _text(LEFT - 10, y + 4, name, "end")
    for number in range(6):
        x = LEFT + (RIGHT - LEFT) * number / 5
        yield _text(x, BOTTOM + 22, f"{seconds * number / 5:,.3g} s", "middle")
    yield _line(LEFT, BOTTOM, RIGHT, BOTTOM, "axis")
    yield _line(BARS_LEFT, TOP, BARS_LEFT, BOTTOM, "axis")
    yield _text((LEFT + RIGHT) / 2, BOTTOM + 44, "when the message was due", "middle")
    yield _text((BARS_LEFT + BARS_RIGHT) / 2, BOTTOM + 44, "how many took so long", "middle")


def _lines(
    points: Sequence[tuple[float, Histogram]], scale: Scale, seconds: float
) -> Iterator[str]:
    if not points:
        return
    xs = [LEFT + (RIGHT - LEFT) * min(max(at / seconds, 0.0), 1.0) for at, _ in points]
    for percent, style in ((100, "most"), (99, "p99"), (50, "p50")):
        ys = [scale.y(each.percentile(percent)) for _, each in points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(xs, ys, strict=True))
        if style == "p50":
            yield (
                f'<polygon class="area" points="{xs[0]:.1f},{BOTTOM} {path} '
                f'{xs[-1]:.1f},{BOTTOM}"/>'
            )
        yield f'<polyline class="{style}" points="{path}"/>'


def _bars(delivery: Timeline, scale: Scale) -> Iterator[str]:
    whole = delivery.whole()
    height = (BOTTOM - TOP) / BANDS
    bands = [0] * BANDS
    for bucket, count in whole.buckets.items():
        y = scale.y(max(top_of(bucket), 1))
        bands[min(BANDS - 1, int((BOTTOM - y) / height))] += count
    most = max(bands)
    for number, count in enumerate(bands):
        if count:
            y = BOTTOM - (number + 1) * height
            width = max(1.0, (BARS_RIGHT - BARS_LEFT) * count / most)
            yield (
                f'<rect class="bar" x="{BARS_LEFT}" y="{y + 0.75:.1f}" width="{width:.1f}" '
                f'height="{height - 1.5:.1f}" rx="1.5"/>'
            )
    if whole.count:
        free_from = 0.0  # names of marks that lie close stand below each other
        for percent in (99.9, 99, 50):
            y = scale.y(whole.percentile(percent))
            name_y = max(y, free_from)
            free_from = name_y + NAME_HEIGHT
            yield _line(BARS_RIGHT + 4, y, BARS_RIGHT + 20, name_y, "mark")
            yield _text(BARS_RIGHT + 26, name_y + 4, f"p{percent:g}")


def _legend() -> Iterator[str]:
    for number, (style, name) in enumerate((("p50", "median"), ("p99", "p99"), ("most", "max"))):
        x = LEFT + number * 96
        yield _line(x, TOP - 18, x + 24, TOP - 18, style)
        yield _text(x + 32, TOP - 14, name)
