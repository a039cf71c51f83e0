"""Draws the figures as one SVG: a panel for each load, a bar for each server, the best on top."""

from collections.abc import Iterator, Sequence
from html import escape

from goals import DURABLE, OURS
from loads import ROWS, Row
from peers import BY_NAME
from ratios import Figures, Spread, spread
from table import FLOOR, number

PANELS = (
    "room-1000-w64",
    "rooms-100",
    "room-100-w1",
    "room-100-w64",
    "rate-room-p99",
    "rate-rooms-p99",
    "reply-100",
    "connects",
    "memory",
)
COLUMNS = 3
WIDTH, PANEL_GAP, MARGIN = 1200, 24, 24
TITLE_HEIGHT, BAR_HEIGHT, BAR_GAP, HEAD_HEIGHT = 34, 15, 5, 64
LABEL_WIDTH, VALUE_WIDTH = 162, 74
COLOURS = {OURS: "#0b7a4b", DURABLE: "#6fb893"}
OTHER, WHISKER, INK, FAINT = "#a9b4bf", "#5b6670", "#1c2126", "#5b6670"

Bar = tuple[str, Spread]  # peer, its figure


def bars(figures: Figures, row: Row) -> list[Bar]:
    """The peers that were measured, the best first. The floor is no chat server and stays out."""
    seen = [(peer, spread(figures.rounds(row.name, peer))) for peer in figures.peers(row.name)]
    there = [(peer, value) for peer, value in seen if value is not None and peer != FLOOR]
    return sorted(there, key=lambda bar: bar[1].median, reverse=not row.less_is_better)


def draw(figures: Figures, rounds: int, note: str) -> str:
    """Return the SVG; panels without a figure are left out."""
    panels = [(ROWS[name], bars(figures, ROWS[name])) for name in PANELS]
    panels = [(row, seen) for row, seen in panels if seen]
    most = max((len(seen) for _, seen in panels), default=0)
    height_each = TITLE_HEIGHT + most * (BAR_HEIGHT + BAR_GAP) + PANEL_GAP
    height = HEAD_HEIGHT + -(-len(panels) // COLUMNS) * height_each + MARGIN
    width_each = (WIDTH - 2 * MARGIN - (COLUMNS - 1) * PANEL_GAP) // COLUMNS
    body = [
        text(MARGIN, 30, "Greenroom and what people would pick instead", size=19, weight=600),
        text(MARGIN, 50, f"one core for the server; medians of {rounds} rounds{note}", fill=FAINT),
    ]
    for place, (row, seen) in enumerate(panels):
        left = MARGIN + place % COLUMNS * (width_each + PANEL_GAP)
        top = HEAD_HEIGHT + place // COLUMNS * height_each
        body += panel(row, seen, left=left, top=top, width=width_each)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'font-family="system-ui, sans-serif" role="img" '
        f'aria-label="Bars that compare Greenroom with other servers">\n'
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>\n'
        + "\n".join(body)
        + "\n</svg>\n"
    )


def panel(row: Row, seen: Sequence[Bar], *, left: float, top: float, width: float) -> Iterator[str]:
    """One load: its title, then a bar for each peer with its lowest and highest round."""
    direction = "less is better" if row.less_is_better else "more is better"
    yield text(left, top + 14, row.title, size=13, weight=600)
    yield text(left, top + 28, f"{row.unit}, {direction}", size=10, fill=FAINT)
    room = width - LABEL_WIDTH - VALUE_WIDTH
    longest = max(value.high for _, value in seen) or 1
    for place, (peer, value) in enumerate(seen):
        y = top + TITLE_HEIGHT + place * (BAR_HEIGHT + BAR_GAP)
        x = left + LABEL_WIDTH
        ours = peer in COLOURS
        base, middle = y + BAR_HEIGHT - 4, y + BAR_HEIGHT / 2
        title = BY_NAME[peer].title.replace("Gin + gorilla", "Gin").replace("Python ", "")
        yield text(x - 6, base, title, size=11, anchor="end", weight=600 if ours else 400)
        yield rectangle(x, y, value.median / longest * room, COLOURS.get(peer, OTHER))
        low, high = x + value.low / longest * room, x + value.high / longest * room
        yield (f'<path d="M{low:.1f} {middle}H{high:.1f}" stroke="{WHISKER}" stroke-width="1.5"/>')
        yield text(high + 5, base, number(value.median), size=11, weight=600 if ours else 400)


def rectangle(x: float, y: float, width: float, fill: str) -> str:
    size = f'width="{max(width, 1):.1f}" height="{BAR_HEIGHT}"'
    return f'<rect x="{x:.1f}" y="{y:.1f}" {size} rx="2" fill="{fill}"/>'


def text(
    x: float,
    y: float,
    words: str,
    *,
    size: int = 12,
    weight: int = 400,
    fill: str = INK,
    anchor: str = "start",
) -> str:
    style = f'font-size="{size}" font-weight="{weight}" fill="{fill}" text-anchor="{anchor}"'
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}>{escape(words)}</text>'
