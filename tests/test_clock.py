import itertools

from hypothesis import given
from hypothesis import strategies as st

from monitor.clock import Seldom


class Counter:
    """Tells what a test sets."""

    def __init__(self) -> None:
        self.seconds = -1000.0

    def __call__(self) -> float:
        return self.seconds


def test_what_happens_for_the_first_time_is_due() -> None:
    assert Seldom(30, Counter()).is_due()


def test_what_has_just_happened_is_not_due_until_its_time_has_gone_by() -> None:
    counter = Counter()
    seldom = Seldom(30, counter)
    assert seldom.is_due()

    for later, is_due in ((0, False), (29.999, False), (30, True), (59.999, False), (60, True)):
        counter.seconds = -1000.0 + later
        assert seldom.is_due() is is_due


def test_what_was_not_due_puts_nothing_off() -> None:
    counter = Counter()
    seldom = Seldom(10, counter)
    due = []
    for second in range(31):
        counter.seconds = float(second)
        if seldom.is_due():
            due.append(second)

    assert due == [0, 10, 20, 30]


def test_two_are_due_independently() -> None:
    counter = Counter()
    one, other = Seldom(30, counter), Seldom(30, counter)
    one.is_due()

    assert other.is_due()


@given(st.floats(0.001, 1000), st.lists(st.floats(0, 500), max_size=50))
def test_two_times_are_never_closer_than_that(seconds: float, steps: list[float]) -> None:
    counter = Counter()
    seldom, due = Seldom(seconds, counter), []
    for step in [0.0, *steps]:
        counter.seconds += step
        if seldom.is_due():
            due.append(counter.seconds)

    assert due[0] == -1000.0
    assert all(after - before >= seconds for before, after in itertools.pairwise(due))
