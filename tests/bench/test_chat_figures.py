"""What `bench/chat` makes of its figures: ratios, goals, tables, picture. Nothing is measured."""

import importlib
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

CHAT = Path(__file__).parents[2] / "bench" / "chat"
MODULES = ("ratios", "loads", "goals", "workshop", "peers", "table", "chart")


@pytest.fixture(scope="module")
def chat():
    """The benchmark's modules by name; they are scripts beside each other, not a package."""
    sys.path.insert(0, str(CHAT))
    try:
        yield {name: importlib.import_module(name) for name in MODULES}
    finally:
        sys.path.remove(str(CHAT))
        for name in MODULES:
            sys.modules.pop(name)


@pytest.fixture
def figures(chat):
    """Build figures from `{(row, peer): values by round}`."""

    def build(values):
        seen = chat["ratios"].Figures()
        for (row, peer), rounds in values.items():
            for number, value in enumerate(rounds):
                if value is not None:
                    seen.add(number, row, peer, value)
        return seen

    return build


ROOM, MEMORY = "room-1000-w64", "memory"


def test_a_ratio_is_taken_within_its_round_and_the_median_of_them_counts(figures):
    seen = figures({(ROOM, "greenroom"): [10, 30, 90], (ROOM, "ws"): [10, 10, 10]})
    spread = seen.advantage(ROOM, "greenroom", ["ws"])
    assert (spread.median, spread.low, spread.high) == (3, 1, 9)


def test_where_less_is_better_the_ratio_is_turned_round(figures):
    seen = figures({(MEMORY, "greenroom"): [10_000], (MEMORY, "ws"): [20_000]})
    assert seen.advantage(MEMORY, "greenroom", ["ws"]).median == 2


def test_of_several_peers_the_best_of_each_round_counts(figures):
    seen = figures(
        {
            (ROOM, "greenroom"): [12, 12],
            (ROOM, "ws"): [6, 1],
            (ROOM, "socketio"): [1, 4],
            (MEMORY, "ws"): [5, 2],
            (MEMORY, "socketio"): [3, 9],
        }
    )
    assert seen.best(ROOM, ["ws", "socketio", "cowboy"]) == [6, 4]
    assert seen.best(MEMORY, ["ws", "socketio"]) == [3, 2]


def test_a_round_without_a_figure_does_not_count(figures):
    seen = figures({(ROOM, "greenroom"): [10, 30, 50], (ROOM, "ws"): [10, None, 0]})
    spread = seen.advantage(ROOM, "greenroom", ["ws"])
    assert (spread.median, spread.low, spread.high) == (1, 1, 1)
    assert seen.advantage(ROOM, "greenroom", ["cowboy"]) is None


def test_beside_other_work_a_throughput_is_taken_by_the_servers_cpu_time(chat):
    """Half a core got 100 done a second: a whole one gets 200 done. A latency stays as it is."""
    loads = chat["loads"]
    report = {"seconds": 2.0, "server_cpu_seconds": 1.0, "deliveries_per_second": 100.0}
    report["latency_ms"] = {"p99": 3.0}
    per_cpu = loads.figure_per_cpu_second
    assert per_cpu(loads.ROWS[ROOM], report) == 200
    assert per_cpu(loads.ROWS["rate-room-p99"], report) == 3
    assert per_cpu(loads.ROWS[ROOM], {**report, "server_cpu_seconds": 0.0}) is None


@pytest.mark.parametrize(
    ("bounds", "value", "word"),
    [
        ({"at_least": 5.0}, 5.0, "reached"),
        ({"at_least": 5.0}, 4.9, "NOT reached"),
        ({"at_most": 1.1}, 1.1, "reached"),
        ({"at_most": 1.1}, 1.2, "NOT reached"),
    ],
)
def test_a_goal_is_reached_at_its_bound(chat, figures, bounds, value, word):
    goal = chat["goals"].Goal("some goal", ROOM, ("ws",), **bounds)
    seen = figures({(ROOM, "greenroom"): [value], (ROOM, "ws"): [1]})
    assert chat["goals"].judge(goal, seen).word == word


def test_a_goal_compares_with_another_row_or_with_a_number(chat, figures):
    goals = chat["goals"]
    seen = figures({("slow", "greenroom"): [9], (ROOM, "greenroom"): [10]})
    own = goals.Goal("slow reader", "slow", at_least=0.9, other_row=ROOM)
    bare = goals.Goal("bare figure", "slow", at_most=9.0)
    assert goals.judge(own, seen).seen.median == 0.9
    assert [goals.judge(goal, seen).word for goal in (own, bare)] == ["reached", "reached"]


def test_a_goal_without_figures_is_neither_reached_nor_missed(chat, figures):
    verdicts = [chat["goals"].judge(goal, figures({})) for goal in chat["goals"].GOALS]
    assert {verdict.word for verdict in verdicts} == {"not measured"}


def test_every_goal_names_rows_that_its_peers_are_measured_in(chat):
    measured = {
        (row.name, peer.name)
        for session in chat["loads"].SESSIONS
        for row in session.rows
        for peer in chat["peers"].PEERS_IN_ORDER
        if peer.takes_part(session.name)
    }
    for goal in chat["goals"].GOALS:
        wanted = {(goal.row, peer) for peer in (goal.who, *goal.against)}
        if goal.other_row:
            wanted.add((goal.other_row, goal.who))
        assert wanted <= measured, goal


def test_the_peers_sessions_exist_and_so_do_the_rows_of_the_picture(chat):
    sessions = {session.name for session in chat["loads"].SESSIONS}
    for peer in chat["peers"].PEERS_IN_ORDER:
        assert set(peer.sessions) <= sessions, peer.name
    assert set(chat["chart"].PANELS) <= set(chat["loads"].ROWS)


def test_the_tables_have_as_many_cells_in_every_line(chat, figures):
    seen = figures({(ROOM, "greenroom"): [10], (ROOM, "ws"): [4], (ROOM, "floor"): [40]})
    report = {"seconds": 2.0, "generator_cpu_seconds": 0.5, "server_cpu_seconds": 2.0}
    records = [
        {"row": ROOM, "peer": peer, "report": report} for peer in ("greenroom", "ws", "floor")
    ]
    table = chat["table"]
    ratios = list(table.ratio_table(seen, ["greenroom", "ws", "floor"]))
    busy = list(table.busy_table(records, seen))
    growth = list(table.growth_table(seen, ["greenroom", "ws"]))
    for lines in (ratios, list(table.goal_table(seen, chat["goals"].GOALS)), growth, busy):
        assert len({line.count("|") for line in lines}) == 1
    assert "2.5 (2.5 to 2.5)" in ratios[2]
    assert growth[3] == "| ws | - | - | - | - | 4 | - |"
    assert "| 25% | 100% | 25% | 4 (4 to 4) |" in busy[2]


def test_the_picture_has_a_bar_for_each_server_and_none_for_the_floor(chat, figures):
    seen = figures({(ROOM, "greenroom"): [10, 12], (ROOM, "ws"): [4], (ROOM, "floor"): [40]})
    picture = ET.fromstring(chat["chart"].draw(seen, 2, " & more"))
    texts = [element.text for element in picture.iter("{http://www.w3.org/2000/svg}text")]
    assert [word for word in texts if word in {"Greenroom", "ws", "floor (C, epoll)"}] == [
        "Greenroom",
        "ws",
    ]


def test_the_nodes_requirements_are_found_through_its_extras(chat):
    needed = chat["workshop"].node_requirements(CHAT.parents[1] / "pyproject.toml")
    names = " ".join(needed)
    assert all(name in names for name in ("trio", "orjson", "trio-websocket", "SQLAlchemy"))
    assert "greenroom[" not in names
