"""The pipeline: bounds, order, and what happens to what is lost."""

from support.cast_pieces import new_message, remembered

from greenroom.actors.ports import Head
from greenroom.actors.room.pipeline import Arrival, Lineup, Pending, Pipeline


def pipeline_of(count: int, **settings) -> Pipeline:
    pipeline = Pipeline(
        **{
            "batch_messages": 2,
            "batches_in_flight": 3,
            "max_messages": 100,
            "max_bytes": 1000,
            **settings,
        }
    )
    for number in range(count):
        assert pipeline.offer(pending(str(number)))
    return pipeline


def pending(content: str) -> Pending:
    return Pending(new_message(content), said=None)


def contents(batch) -> list[str]:
    return [item.message.content for item in batch.items]


def take_all(pipeline):
    batches = []
    while (batch := pipeline.next_batch()) is not None:
        batches.append(batch)
    return batches


def test_so_many_batches_are_under_way_and_no_more():
    batches = take_all(pipeline_of(10))
    assert [contents(batch) for batch in batches] == [["0", "1"], ["2", "3"], ["4", "5"]]
    assert [batch.continues for batch in batches] == [False, True, True]


def test_an_answer_makes_room_for_the_next():
    pipeline = pipeline_of(10)
    first, *_ = take_all(pipeline)
    pipeline.came_back(first)
    assert contents(pipeline.next_batch()) == ["6", "7"]


def test_beyond_its_bounds_it_refuses():
    assert not pipeline_of(3, max_messages=3).offer(pending("x"))
    assert not pipeline_of(0, max_bytes=5).offer(pending("123456"))


def test_lost_batches_go_again_in_order_when_all_have_come_back():
    pipeline = pipeline_of(8)
    one, two, three = take_all(pipeline)
    assert pipeline.lost(two)
    assert pipeline.next_batch() is None  # one and three are still out
    assert pipeline.lost(one)
    assert pipeline.next_batch() is None
    pipeline.came_back(three)
    again = take_all(pipeline)
    assert [contents(batch) for batch in again] == [["0", "1"], ["2", "3"], ["6", "7"]]
    assert [batch.continues for batch in again] == [False, True, True]


def test_a_batch_that_is_lost_three_times_is_given_up():
    pipeline = pipeline_of(1)
    for _ in range(2):
        assert pipeline.lost(pipeline.next_batch())
    assert not pipeline.lost(pipeline.next_batch())
    assert pipeline.idle


def test_giving_up_names_everything_that_is_not_under_way():
    pipeline = pipeline_of(8)
    one, *_ = take_all(pipeline)
    pipeline.lost(one)
    assert sorted(item.message.content for item in pipeline.give_up()) == list("0167")


# The lineup.


def arrival(offset: int) -> Arrival:
    return Arrival(remembered(offset), None, fresh=True)


def ready(lineup: Lineup) -> list[int]:
    return [arrival.entry.message.offset for arrival in lineup.take_ready()]


def test_messages_leave_in_order_whatever_their_order_of_arrival():
    lineup = Lineup(Head("e", 4))
    lineup.add(arrival(6))
    assert ready(lineup) == []
    assert lineup.hole() == (4, 6)
    lineup.add(arrival(5))
    assert ready(lineup) == [5, 6]
    assert lineup.hole() is None
    assert lineup.head == Head("e", 6)


def test_what_was_delivered_is_not_delivered_again():
    lineup = Lineup(Head("e", 4))
    lineup.add(arrival(4))
    lineup.add(arrival(5))
    lineup.add(arrival(5))
    assert ready(lineup) == [5]
