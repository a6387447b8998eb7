"""What a shard keeps apart, and for how long."""

from monitor.config import HealthSettings
from monitor.event import Channel, Decoded, Event, EventId, LinkChanged, LinkState, Stored, Vendor
from monitor.health.effect import Effect
from monitor.health.stream import Outcome, StreamKey, StreamState
from monitor.worker.shard import MARKER_SECONDS, Shard, retire_replaced
from tests.health.story import LINK_WORDS

JOB = "26f065244f754b3aa853b649a21aaf66"
START = 1_700_000_000.0


def tell(
    shard: Shard,
    number: int,
    source: str,
    state: LinkState,
    *,
    job_id: str = JOB,
    room_id: str | None = None,
) -> Effect:
    """Fold one callback about an RTMP state, which is received so many seconds after the start."""
    told = (Vendor.METASTUDIO, source, job_id, Channel.CALLBACK, "RTMP_STREAM_STATE_CHANGE")
    event = Event(EventId("r", 1, number), *told, START + number, None, state.encode())
    return shard.fold(Stored(0, number, event), Decoded(job_id, told[-1], LinkChanged("a", state, room_id)))


def play(shard: Shard, job_id: str, words: str, *, since: int, source: str = "prod") -> StreamState:
    """Tell RTMP states by their letters (see `story`), one a second; return the stream's state."""
    for number, word in enumerate(words.split(), since):
        tell(shard, number, source, LINK_WORDS[word], job_id=job_id, room_id="room")
    return shard.streams[StreamKey(source, job_id)]


def tick(shard: Shard, seconds: float) -> None:
    """Do for all streams what is due so many seconds after the start."""
    shard.tick(START + seconds, list(shard.streams))


def jobs(shard: Shard) -> set[str]:
    return {key.job_id for key in shard.streams}


def test_one_job_id_under_two_sources_is_two_streams() -> None:
    # Two accounts of a vendor may give the same id, and whoever knows one key must not touch the other's.
    shard = Shard(HealthSettings(), {})
    tell(shard, 1, "prod", LinkState.CONNECTED)
    tell(shard, 2, "test", LinkState.CONNECTED)

    tell(shard, 3, "test", LinkState.DISCONNECTED)

    outages = {key: state.link.outages for key, state in shard.streams.items()}
    assert outages == {StreamKey("prod", JOB): 0, StreamKey("test", JOB): 1}


def test_a_stream_more_than_its_source_may_have_is_counted_and_not_tracked() -> None:
    shard = Shard(HealthSettings(), {"prod": 2, "test": 1})
    for number, job_id in enumerate(("one", "two"), 1):
        tell(shard, number, "prod", LinkState.CONNECTED, job_id=job_id)

    overflow = tell(shard, 3, "prod", LinkState.CONNECTED, job_id="three")

    assert overflow is Effect.OVERFLOW
    assert jobs(shard) == {"one", "two"}
    assert shard.position == 3
    # Neither those that are here nor another source pay for it.
    assert tell(shard, 4, "prod", LinkState.DISCONNECTED, job_id="one") is Effect.APPLIED
    assert tell(shard, 5, "test", LinkState.CONNECTED) is Effect.APPLIED


def test_streams_that_end_with_the_first_that_is_told_of_them_are_kept_as_far_as_there_is_room() -> None:
    shard = Shard(HealthSettings(), {"prod": 2})
    # Those that were heard of before they ended are many, over a day.
    for number in range(5):
        play(shard, f"over-{number}", "C E", since=number)
    told = [tell(shard, number, "prod", LinkState.END, job_id=f"made-up-{number}") for number in range(5)]

    assert told == [Effect.APPLIED] * 2 + [Effect.OVERFLOW] * 3
    assert len(shard.streams) == 7
    assert (shard.live["prod"], shard.brief["prod"]) == (0, 2)
    assert shard.changed == shard.streams.keys()
    # Neither those that begin nor those of others go short for it.
    assert tell(shard, 7, "prod", LinkState.CONNECTED, job_id="real") is Effect.APPLIED
    assert tell(shard, 8, "prod", LinkState.END, job_id="real") is Effect.APPLIED
    assert tell(shard, 9, "test", LinkState.END) is Effect.APPLIED

    again = Shard(HealthSettings(), {"prod": 2})
    again.restore(list(shard.streams.values()))
    assert tell(again, 10, "prod", LinkState.END, job_id="made-up-10") is Effect.OVERFLOW
    # One that was no made-up one after all leaves room.
    assert tell(again, 40, "prod", LinkState.CONNECTED, job_id="made-up-0") is Effect.APPLIED
    assert tell(again, 41, "prod", LinkState.END, job_id="made-up-10") is Effect.APPLIED
    settings = again.settings
    for seconds in (
        settings.keep_abnormal_seconds + 20,
        settings.keep_abnormal_seconds + MARKER_SECONDS + 20,
    ):
        tick(again, seconds)
    assert again.streams.keys() == {StreamKey("prod", "made-up-0")}
    assert tell(again, 11, "prod", LinkState.END, job_id="made-up-11") is Effect.APPLIED


def test_a_stream_that_ends_or_is_given_up_leaves_room_for_another() -> None:
    settings = HealthSettings(abandon_after_seconds=1000)
    shard = Shard(settings, {"prod": 1})
    play(shard, "ends", "C E", since=1)
    play(shard, "ends too", "C E", since=3)
    assert tell(shard, 5, "prod", LinkState.CONNECTED, job_id="is lost") is Effect.APPLIED
    assert tell(shard, 6, "prod", LinkState.CONNECTED, job_id="waits") is Effect.OVERFLOW

    tick(shard, 5 + 1000)

    assert tell(shard, 1006, "prod", LinkState.CONNECTED, job_id="waits") is Effect.APPLIED
    assert tell(shard, 1007, "prod", LinkState.CONNECTED, job_id="waits too") is Effect.OVERFLOW


def test_the_streams_of_a_checkpoint_take_their_room_and_markers_take_none() -> None:
    before = Shard(HealthSettings(), {})
    play(before, "ended", "C E", since=1)
    play(before, "ended too", "C E", since=3)
    play(before, "lives", "C", since=5)
    shard = Shard(HealthSettings(), {"prod": 2})

    shard.restore(before.streams.values())

    assert tell(shard, 6, "prod", LinkState.CONNECTED, job_id="second") is Effect.APPLIED
    assert tell(shard, 7, "prod", LinkState.CONNECTED, job_id="third") is Effect.OVERFLOW
    assert tell(shard, 8, "prod", LinkState.DISCONNECTED, job_id="lives") is Effect.APPLIED


def test_a_stream_that_ended_is_kept_for_a_while_then_a_marker_of_it_then_nothing() -> None:
    shard = Shard(HealthSettings(keep_ended_seconds=100, keep_abnormal_seconds=200), {})
    completed = play(shard, "completed", "C E", since=9)
    cut_off = play(shard, "cut off", "C D E", since=8)
    assert completed.end is not None
    assert cut_off.end is not None
    assert [completed.end.outcome, cut_off.end.outcome] == [Outcome.COMPLETED, Outcome.CUT_OFF]

    kept, changed = {}, {}
    for seconds in (10 + 100, 10 + 101, 10 + 200, 10 + 201, 10 + MARKER_SECONDS, 11 + MARKER_SECONDS):
        shard.changed.clear()
        tick(shard, seconds)
        kept[seconds] = [(key.job_id, state.retired) for key, state in shard.streams.items()]
        changed[seconds] = {key.job_id for key in shard.changed}

    assert kept == {
        110: [("completed", False), ("cut off", False)],
        111: [("completed", True), ("cut off", False)],
        210: [("completed", True), ("cut off", False)],
        211: [("completed", True), ("cut off", True)],
        10 + MARKER_SECONDS: [("completed", True), ("cut off", True)],
        11 + MARKER_SECONDS: [],
    }
    # The next checkpoint must know.
    assert "completed" in changed[111]
    assert "cut off" in changed[211]
    assert changed[11 + MARKER_SECONDS] == {"completed", "cut off"}


def test_a_late_event_does_not_bring_a_marker_back_to_life() -> None:
    shard = Shard(HealthSettings(keep_ended_seconds=100), {})
    play(shard, "job", "C E", since=1)
    tick(shard, 2 + 101)

    effect = tell(shard, 104, "prod", LinkState.DISCONNECTED, job_id="job")

    assert effect is Effect.AFTER_END
    assert shard.streams[StreamKey("prod", "job")].retired


def test_a_bad_end_is_retired_once_a_newer_job_of_its_room_is_healthy_whichever_shard_has_it() -> None:
    one, other = Shard(HealthSettings(), {}), Shard(HealthSettings(), {}, 1)
    play(one, "cut off", "C D E", since=1)
    play(one, "completed", "C E", since=1)
    play(other, "newer", "G", since=10)
    one.changed.clear()

    retire_replaced([one, other], START + 11)
    assert one.changed == set()
    tell(other, 12, "prod", LinkState.CONNECTED, job_id="newer", room_id="room")
    retire_replaced([one, other], START + 13)

    assert one.changed == {StreamKey("prod", "cut off")}
    retired = {key.job_id: state.retired for key, state in one.streams.items()}
    assert retired == {"cut off": True, "completed": False}


def test_neither_an_older_job_nor_one_of_another_source_takes_the_place_of_a_bad_end() -> None:
    shard = Shard(HealthSettings(), {})
    play(shard, "older", "C", since=1)
    play(shard, "cut off", "C D E", since=2)
    play(shard, "elsewhere", "C", since=5, source="test")

    retire_replaced([shard], START + 10)

    assert not any(state.retired for state in shard.streams.values())


def test_a_job_that_ran_beside_one_that_was_given_up_does_not_take_its_place_and_a_new_one_does() -> None:
    shard = Shard(HealthSettings(), {})
    play(shard, "given up", "C", since=1)
    play(shard, "beside", "C", since=5)
    play(shard, "given up", "D", since=10)
    play(shard, "new", "G", since=20)
    play(shard, "given up", "E", since=30)

    retire_replaced([shard], START + 31)
    assert not any(state.retired for state in shard.streams.values())
    play(shard, "new", "C", since=32)
    retire_replaced([shard], START + 33)

    assert {key.job_id for key, state in shard.streams.items() if state.retired} == {"given up"}


def test_an_older_job_that_is_healthy_too_does_not_hide_the_one_that_takes_the_place_of_a_bad_end() -> None:
    one, other = Shard(HealthSettings(), {}), Shard(HealthSettings(), {}, 1)
    play(one, "newer", "C", since=10)
    play(one, "cut off", "C D E", since=2)
    play(other, "older", "C", since=1)

    retire_replaced([one, other], START + 11)

    assert one.streams[StreamKey("prod", "cut off")].retired


def test_a_newer_job_that_flaps_takes_the_place_of_a_bad_end_once_it_is_healthy_again() -> None:
    shard = Shard(HealthSettings(flapping_reconnects=2, flapping_window_seconds=60), {})
    play(shard, "cut off", "C D E", since=1)
    play(shard, "newer", "C D C D C", since=10)

    retire_replaced([shard], START + 15)
    assert not shard.streams[StreamKey("prod", "cut off")].retired
    retire_replaced([shard], START + 100)
    assert shard.streams[StreamKey("prod", "cut off")].retired


def test_each_of_two_sources_with_a_room_of_one_name_has_bad_ends_of_its_own() -> None:
    shard = Shard(HealthSettings(), {})
    play(shard, "cut off", "C D E", since=1)
    play(shard, "cut off", "C D E", since=1, source="test")
    play(shard, "newer", "C", since=5, source="test")

    retire_replaced([shard], START + 10)

    retired = {key.source: state.retired for key, state in shard.streams.items() if key.job_id == "cut off"}
    assert retired == {"prod": False, "test": True}
