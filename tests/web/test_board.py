import pytest

from monitor.event import Vendor
from monitor.health.status import Status
from monitor.web import board as board_module
from monitor.web.board import Board, Shown, Wanted
from tests.health.story import START, Story
from tests.metrics.building import Desk


@pytest.fixture(autouse=True)
def _always_look(monkeypatch: pytest.MonkeyPatch) -> None:
    # What was looked at a moment ago is shown again; here each look is a new one.
    monkeypatch.setattr(board_module, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(board_module, "LARGEST_SHARE", float("inf"))


def add(desk: Desk, job: str, words: str, *, step: float = 10.0, warnings: tuple[str, ...] = ()) -> Story:
    story = Story()
    story.links(words, step=step)
    assert story.state is not None
    story.state.job_id = job
    story.state.warnings = warnings
    desk.show(story.state)
    return story


async def look(desk: Desk, board: Board, wanted: Wanted | None = None, *, at: float) -> Shown:
    desk.clock.time = START + at
    return await board.look(wanted or Wanted())


def jobs(shown: Shown) -> list[str]:
    return [row.line.job_id for row in shown.rows]


async def test_the_worst_come_first_and_of_these_what_has_lasted_longest(desk: Desk) -> None:
    board = Board(desk.fleet, desk.settings)
    add(desk, "fine", "C")
    add(desk, "later", "C D", step=60)
    add(desk, "down", "C D", step=30)
    add(desk, "new", "G")

    shown = await look(desk, board, at=300)

    assert jobs(shown) == ["down", "later", "new", "fine"]
    assert (shown.counts[Status.DOWN], shown.counts[Status.STARTING], shown.matching) == (2, 1, 4)


async def test_a_stream_that_ended_badly_comes_before_all_that_are_on_air(desk: Desk) -> None:
    board = Board(desk.fleet, desk.settings)
    add(desk, "completed", "C E")
    add(desk, "fine", "C")
    add(desk, "flaps", "C D C D C D C", step=1)
    add(desk, "given-up", "C D E")
    add(desk, "down", "C D")

    assert jobs(await look(desk, board, at=300)) == ["down", "given-up", "flaps", "fine", "completed"]


async def test_of_ended_streams_the_last_comes_first(desk: Desk) -> None:
    board = Board(desk.fleet, desk.settings)
    add(desk, "first", "C E", step=10)
    add(desk, "last", "C E", step=20)

    assert jobs(await look(desk, board, at=100)) == ["last", "first"]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (Wanted(status=Status.DOWN), ["down"]),
        (Wanted(vendor=Vendor.SOFTSUGAR), []),
        (Wanted(source="prod"), ["down", "fine"]),
        (Wanted(source="other"), []),
        (Wanted(words=("random", "fin")), ["fine"]),
        (Wanted(words=("random", "down")), []),
        (Wanted(rows=1), ["down"]),
    ],
)
async def test_only_what_is_wanted_is_shown(desk: Desk, wanted: Wanted, expected: list[str]) -> None:
    board = Board(desk.fleet, desk.settings)
    add(desk, "fine", "C", warnings=("RANDOM_PLAY_CLOSED",))
    add(desk, "down", "C D")

    assert jobs(await look(desk, board, wanted, at=300)) == expected


async def test_a_row_is_made_anew_when_it_would_look_different_and_only_then(desk: Desk) -> None:
    board = Board(desk.fleet, desk.settings)
    story = add(desk, "one", "C")
    at = 300.0
    first = (await look(desk, board, at=at)).rows[0]
    while (await look(desk, board, at=at)).rows[0] is first:
        # Its moment within the half minute, at which the strip moves on.
        at += 1
    assert at <= 330
    second = (await look(desk, board, at=at)).rows[0]

    assert (await look(desk, board, at=at + 1)).rows[0] is second
    story.link("D", at=at + 1)
    third = (await look(desk, board, at=at + 1)).rows[0]
    assert third is not second
    assert third.line.status is Status.DEGRADED


async def test_a_fleet_that_recovers_shows_nothing_that_is_not_true_yet(desk: Desk) -> None:
    board = Board(desk.fleet, desk.settings)
    add(desk, "one", "C")
    desk.fleet.recovering = True

    assert (await look(desk, board, at=300)).rows == []
    assert board.recovering
