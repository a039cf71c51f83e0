"""A result as text, as JSON and as a picture."""

import io
import itertools
import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import attrs
import pytest
from rich.console import Console

from greenroom.node.load.live import line, panel, sparkline
from greenroom.node.load.picture import Scale, draw
from greenroom.node.load.plan import Plan
from greenroom.node.load.record import Record
from greenroom.node.load.report import LIMITS, as_json, milliseconds, summary
from greenroom.node.load.run import Load, Result
from greenroom.node.settings.record import DEFAULTS

URL = "ws://127.0.0.1:8000/ws"
STARTED = "2026-11-23T12:00:00+00:00"
PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "measure-load.md"
PLAN = Plan(
    run="abc123",
    rooms=2,
    members=3,
    rate=10,
    size=100,
    ramp_seconds=1,
    seconds=4,
    prefix="load-",
)


def result_of(*, latencies_us=(1_000, 2_000, 4_000, 80_000), **changes):
    record = Record(slice_us=1_000_000)
    for number, latency in enumerate(latencies_us):
        record.delivery.add(number * 1_000_000, latency)
        record.ack.add(number * 1_000_000, latency // 2)
        record.connect.add(20_000)
        record.lateness.add(300)
    record.joined = 6
    record.sent = record.acknowledged = 40
    record.delivered = 80
    result = Result(
        plan=PLAN,
        record=record,
        missing=0,
        absent=0,
        interrupted=False,
        ramp_seconds=1.1,
        send_seconds=4.0,
        whole_seconds=4.0,
        cpu_share=0.2,
    )
    return attrs.evolve(result, **changes)


def text_of(result, width=80):
    console = Console(file=io.StringIO(), width=width)
    console.print(summary(result, url=URL))
    return console.file.getvalue()


def json_of(result):
    return as_json(result, url=URL, codec="greenroom.v1.json", started=STARTED)


def test_the_summary_shows_percentiles_counts_and_the_verdict_in_80_columns():
    text = text_of(result_of())
    assert max(map(len, text.splitlines())) <= 80
    assert re.search(r"to delivery +2\.01 ms +80\.0 ms +80\.0 ms +80\.0 ms +80\.0 ms +4", text)
    assert "connections  6 of 6 in 1.1 s" in text
    assert "messages     40 sent, 40 acknowledged\n" in re.sub(r" +\n", "\n", text)
    assert text.rstrip().endswith("✓ every acknowledged message reached every member, once")


def test_the_summary_of_a_long_and_slow_run_is_not_cut_off():
    latencies = [9_999_000_000] * 3
    result = result_of(latencies_us=latencies)
    result.record.lateness.add(9_999_000_000)
    assert "…" not in text_of(result)


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({"missing": 7}, "✗ 7 deliveries of acknowledged messages are missing"),
        ({"absent": 2}, "✗ 2 members were not in their room at the end"),
        (
            {"interrupted": True},
            "✓ interrupted; every acknowledged message reached every member, once",
        ),
    ],
)
def test_the_verdict_says_what_is_wrong(changes, verdict):
    assert text_of(result_of(**changes)).rstrip().endswith(verdict)


def test_doubled_messages_are_a_loss_too():
    result = result_of()
    result.record.doubled = 1
    assert result.lost
    assert "✗ 1 came twice" in text_of(result)


def test_trouble_is_listed_most_frequent_first():
    result = result_of()
    result.record.errors.update({111: 2, 108: 5})
    result.record.disconnects.update({"4004": 1})
    text = text_of(result)
    assert "errors       108: 5, 111: 2" in text
    assert "disconnects  4004: 1" in text


def test_a_limit_of_the_node_is_named_with_the_settings_that_raise_it():
    result = result_of()
    result.record.errors.update({111: 1_200})
    result.record.disconnects.update({"4007": 3, "HTTP 429": 20, "connection lost": 1})
    text = text_of(result, width=200)
    assert "! error 111: 1,200 commands came too fast; the node's settings publish_rate" in text
    assert "! 4007: 3 connections were closed for their rate; the node's settings" in text
    assert "! HTTP 429: 20 connections were too many of one address; the node's setting" in text
    assert text.count("! ") == 3


@pytest.mark.parametrize("said", LIMITS)
def test_the_settings_that_it_names_are_settings(said):
    names = re.findall(r"[a-z]+_[a-z_]+", LIMITS[said][1])
    assert names
    assert set(names) <= set(DEFAULTS)


def test_a_tool_that_was_itself_the_bottleneck_says_so():
    assert "this tool used 93% of a core" in text_of(result_of(cpu_share=0.93))
    late = result_of()
    late.record.lateness.add(60_000)
    assert "may be this tool's own lateness" in text_of(late, width=120)
    assert "! " not in text_of(result_of())


def test_the_json_is_plain_and_has_the_documented_keys():
    data = json.loads(json.dumps(json_of(result_of())))
    assert data["ok"] is True
    assert data["latency_ms"]["delivery"]["p50"] == pytest.approx(2, rel=0.01)
    assert data["deliveries"]["per_second"] == 20
    assert [point["at_seconds"] for point in data["timeline"]] == [0.5, 1.5, 2.5, 3.5]
    (example,) = re.findall(r"```json\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert shape(data) == shape(json.loads(example))


def shape(value):
    """The keys of objects, all the way down; of arrays the first element's."""
    if isinstance(value, dict):
        free = {"disconnects", "errors"}  # their keys are codes
        return {key: None if key in free else shape(each) for key, each in value.items()}
    return [shape(value[0])] if isinstance(value, list) and value else None


def test_the_picture_is_sound_xml_with_a_line_for_each_measure_and_bars():
    root = ET.fromstring(draw(result_of(), url=URL + "?a=1&b=<2>", started=STARTED))
    styles = [element.get("class") for element in root.iter()]
    assert [styles.count(name) for name in ("p50", "p99", "area", "mark")] == [2, 2, 1, 3]
    assert styles.count("bar") == 4
    words = [element.text for element in root.iter() if element.tag.endswith("text")]
    assert "nothing lost" in words
    assert "2.01 ms" in words


def test_names_of_marks_that_lie_close_do_not_overlap():
    root = ET.fromstring(draw(result_of(latencies_us=[5_000] * 9), url=URL, started=STARTED))
    heights = [float(e.get("y")) for e in root.iter() if e.text in {"p50", "p99", "p99.9"}]
    marks = sorted(heights)[-3:]
    assert all(below - above >= 15 for above, below in itertools.pairwise(marks))


def test_the_picture_of_nothing_is_still_a_picture():
    ET.fromstring(draw(result_of(latencies_us=()), url=URL, started=STARTED))


def test_the_picture_says_when_something_was_lost():
    assert "messages lost" in draw(result_of(missing=1), url=URL, started=STARTED)
    assert "members lost" in draw(result_of(absent=1), url=URL, started=STARTED)


@pytest.mark.parametrize("values", [[5], [100, 100], [1, 10**9], [0], []])
def test_a_scale_covers_its_values(values):
    scale = Scale.over(values)
    assert scale.low_us < scale.high_us
    assert all(scale.low_us <= max(value, 1) <= scale.high_us for value in values)
    assert scale.y(scale.low_us) > scale.y(scale.high_us)


@pytest.mark.parametrize(
    ("us", "text"),
    [
        (0, "0.00 ms"),
        (840, "0.84 ms"),
        (12_340, "12.3 ms"),
        (456_700, "457 ms"),
        (1_204_000, "1,204 ms"),
        (12_040_000, "12.0 s"),
    ],
)
def test_a_latency_has_three_digits(us, text):
    assert milliseconds(us) == text


def test_a_sparkline_is_as_high_as_its_values():
    assert sparkline([0, 1, 3.5, 7]) == "▁▂▅█"
    assert sparkline([]) == sparkline([0, 0]) == ""


async def test_progress_is_a_panel_on_a_terminal_and_a_line_elsewhere(autojump_clock):
    load = Load(PLAN, target=None, codec=None, token=None)
    load.record.connected, load.record.sent, load.record.acknowledged = 6, 10, 8
    load.record.errors[111] = 2
    load.record.delivery.add(0, 3_000)
    assert line(load) == (
        "getting tokens, 6/6 connected, 10/40 sent, 8 acknowledged, 0 delivered, "
        "p50 3.00 ms, p99 3.00 ms, 2 errors"
    )
    console = Console(file=io.StringIO(), width=100, force_terminal=True)
    console.print(panel(load, URL))
    shown = re.sub(r"\x1b\[[0-9;]*m", "", console.file.getvalue())
    assert "10 of 40, 2 without an answer" in shown
    assert "error 111: 2" in shown
