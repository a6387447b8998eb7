import asyncio

from hypothesis import given
from hypothesis import strategies as st

from monitor.event import EventId
from monitor.log.sqlite_writer import Append, Backlog
from tests.log.making import event


def append(source: str, rows: int, number: int) -> Append:
    loop = asyncio.new_event_loop()
    future: asyncio.Future[None] = loop.create_future()
    loop.close()
    return Append([event(EventId(source, number, row), source=source) for row in range(rows)], (), future)


def filled(*appends: Append) -> Backlog:
    backlog = Backlog()
    for one in appends:
        backlog.add(one)
    return backlog


def test_sources_take_turns() -> None:
    backlog = filled(*(append("a", 1, number) for number in range(10)), append("b", 1, 0), append("c", 1, 0))

    assert [one.source for one in backlog.take(6)] == ["a", "b", "c", "a", "a", "a"]


def test_turns_go_on_where_they_stopped() -> None:
    backlog = filled(*(append(source, 1, number) for number in range(3) for source in "abc"))

    assert [one.source for one in backlog.take(2)] == ["a", "b"]
    assert [one.source for one in backlog.take(2)] == ["c", "a"]


def test_an_append_larger_than_a_commit_goes_alone() -> None:
    backlog = filled(append("a", 1, 0), append("b", 50, 0), append("c", 1, 0))

    assert [one.source for one in backlog.take(10)] == ["a"]
    assert [one.source for one in backlog.take(10)] == ["b"]
    assert [one.source for one in backlog.take(10)] == ["c"]
    assert not backlog


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 9)), max_size=40),
    st.integers(1, 12),
)
def test_all_that_was_added_is_taken_once_and_in_the_order_of_its_source(
    added: list[tuple[str, int]], rows: int
) -> None:
    appends = [append(source, size, number) for number, (source, size) in enumerate(added)]
    backlog = filled(*appends)
    taken: list[Append] = []
    while backlog:
        part = backlog.take(rows)
        assert len(part) == 1 or sum(one.rows for one in part) <= rows
        taken += part

    for source in "abc":
        expected = [one.events for one in appends if one.source == source]
        assert [one.events for one in taken if one.source == source] == expected
    assert len(taken) == len(appends)
