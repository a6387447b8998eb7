from monitor.clock import SystemClock, stopwatch
from monitor.config import HealthSettings
from monitor.health.stream import StreamKey
from monitor.worker.fleet import Fleet
from monitor.worker.shard import Shard
from tests.health.story import Story


def shard(partition: int, *job_ids: str) -> Shard:
    """Return a shard with one connected stream for each job id."""
    one = Shard(HealthSettings(), {}, partition)
    for job_id in job_ids:
        story = Story()
        story.link("C", at=0)
        story.known.job_id = job_id
        one.streams[StreamKey("prod", job_id)] = story.known
    return one


def jobs(fleet: Fleet) -> set[str]:
    return {key.job_id for key in fleet.streams}


def test_the_streams_are_those_of_all_shards_that_have_joined() -> None:
    fleet = Fleet(SystemClock())

    fleet.join(shard(0, "a"))
    fleet.join(shard(1, "b", "c"))

    assert jobs(fleet) == {"a", "b", "c"}
    found = fleet.get(StreamKey("prod", "c"))
    assert found is not None
    assert found.job_id == "c"
    assert fleet.get(StreamKey("prod", "d")) is None


def test_the_streams_of_a_shard_leave_with_it_and_count_as_a_loss() -> None:
    fleet = Fleet(SystemClock(), [shard(0, "a"), shard(1, "b")])
    before = fleet.losses

    fleet.leave(0)

    assert jobs(fleet) == {"b"}
    assert fleet.losses == before + 1
    fleet.leave(0)
    assert fleet.losses == before + 1


def test_a_fleet_that_has_expired_is_empty_until_it_is_confirmed_again() -> None:
    fleet = Fleet(SystemClock(), [shard(0, "a"), shard(1, "b")])
    before = fleet.losses

    fleet.expires = stopwatch() - 0.001

    assert jobs(fleet) == set()
    assert fleet.shown() == []
    assert fleet.get(StreamKey("prod", "a")) is None
    assert fleet.losses == before + 1
    fleet.expires = stopwatch() + 60
    assert jobs(fleet) == {"a", "b"}
    assert fleet.losses == before + 1


def test_a_fleet_that_has_expired_recovers_as_long_as_it_hides_streams() -> None:
    fleet = Fleet(SystemClock(), [shard(0, "a")])
    fleet.recovering = False

    fleet.expires = stopwatch() - 0.001

    assert fleet.recovering
    fleet.expires = stopwatch() + 60
    assert not fleet.recovering


def test_nothing_is_overdue_where_no_stream_would_be_shown() -> None:
    fleet = Fleet(SystemClock(), [shard(0, "a")])
    fleet.recovering = False
    fleet.leave(0)

    fleet.expires = stopwatch() - 0.001

    assert not fleet.recovering
