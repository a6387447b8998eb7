import pytest

from monitor.event import (
    Channel,
    JobObserved,
    JobRegistered,
    JobState,
    RandomPlayMode,
    SessionState,
    Unrecognised,
    Vendor,
)
from monitor.vendors import registry
from tests.health.story import START, Story
from tests.metrics.building import Desk, key

STREAM = {"vendor": "metastudio", "source": "prod", "job_id": "job"}


async def test_a_stream_that_nobody_described_has_empty_info(desk: Desk) -> None:
    story = Story()
    story.tell(Unrecognised("MOOD"), at=0)
    desk.show(story.known)

    page = await desk.scrape()

    empty = dict.fromkeys(("room_id", "rtc_room_id", "play_mode", "random_play_mode", "view_mode"), "")
    assert page[key("livestream_info", **STREAM, **empty)] == 1


async def test_info_follows_a_registration_that_comes_later(desk: Desk) -> None:
    story = Story()
    story.links("C")
    desk.show(story.known)
    await desk.scrape(at=10)

    registration = JobRegistered("r1", "rtc1", "TEXT", RandomPlayMode.SCENE, "PORTRAIT")
    story.tell(registration, at=11, channel=Channel.API)
    page = await desk.scrape(at=12)

    described = {
        "room_id": "r1",
        "rtc_room_id": "rtc1",
        "play_mode": "TEXT",
        "random_play_mode": "SCENE",
        "view_mode": "PORTRAIT",
    }
    assert [name for name in page if name.name == "livestream_info"] == [
        key("livestream_info", **STREAM, **described)
    ]


async def test_the_status_is_1_for_one_and_0_for_five(desk: Desk) -> None:
    story = Story()
    story.link("C", at=0)
    story.link("D", at=10)
    desk.show(story.known)

    page = await desk.scrape(at=75)

    told = {
        dict(name.labels)["status"]: value for name, value in page.items() if name.name == "livestream_status"
    }
    assert told == {"starting": 0, "healthy": 0, "degraded": 0, "down": 1, "silent": 0, "ended": 0}
    assert page[key("livestream_status_since_timestamp_seconds", **STREAM)] == START + 70


async def test_the_rtmp_state_is_1_for_one_and_0_for_four(desk: Desk) -> None:
    story = Story()
    story.link("C", at=0)
    story.link("D", at=10)
    desk.show(story.known)

    page = await desk.scrape(at=11)

    told = {
        dict(name.labels)["state"]: value
        for name, value in page.items()
        if name.name == "livestream_rtmp_state"
    }
    assert told == {"connecting": 0, "connected": 0, "disconnected": 1, "reconnecting": 0, "end": 0}


async def test_a_softsugar_session_has_no_rtmp_state_but_its_counters(desk: Desk) -> None:
    story = Story(Vendor.SOFTSUGAR)
    story.session(SessionState.RUNNING, at=0)
    desk.show(story.known)

    page = await desk.scrape(at=1)

    sugar = STREAM | {"vendor": "softsugar"}
    assert not [name for name in page if name.name == "livestream_rtmp_state"]
    for counter in ("reconnects", "outages", "outage_seconds", "replies_finished", "callbacks_missed"):
        assert page[key(f"livestream_{counter}_total", **sugar)] == 0


async def test_connection_counters_count(desk: Desk) -> None:
    story = Story()
    for word, at in (("C", 0.0), ("D", 10.0), ("C", 15.0)):
        story.link(word, at=at, signed=int(at))
    desk.show(story.known)

    page = await desk.scrape(at=22)

    assert page[key("livestream_outages_total", **STREAM)] == 1
    assert page[key("livestream_reconnects_total", **STREAM)] == 1
    assert page[key("livestream_connected_seconds_total", **STREAM)] == 16
    assert page[key("livestream_outage_seconds_total", **STREAM)] == 5


async def test_the_start_is_when_it_was_first_heard_of(desk: Desk) -> None:
    story = Story()
    story.link("C", at=3)
    story.register(at=5)
    desk.show(story.known)

    page = await desk.scrape(at=6)

    assert page[key("livestream_start_timestamp_seconds", **STREAM)] == START + 3
    assert key("livestream_expected_end_timestamp_seconds", **STREAM) not in page


async def test_the_expected_end_follows_from_the_longest_duration(desk: Desk) -> None:
    story = Story()
    story.tell(JobRegistered(max_duration=7200.0), at=0, channel=Channel.API)
    desk.show(story.known)

    page = await desk.scrape()

    assert page[key("livestream_expected_end_timestamp_seconds", **STREAM)] == START + 7200


async def test_an_end_is_exported_with_its_outcome_once_it_came(desk: Desk) -> None:
    story = Story()
    story.link("C", at=0)
    desk.show(story.known)
    before = await desk.scrape(at=10)
    story.link("E", at=20)
    after = await desk.scrape(at=21)

    name = "livestream_end_timestamp_seconds"
    assert not [sample for sample in before if sample.name == name]
    assert after[key(name, **STREAM, outcome="completed")] == START + 20
    assert after[key("livestream_status", **STREAM, status="ended")] == 1


async def test_until_when_it_was_well_is_exported_of_a_stream_that_ended_badly_alone(desk: Desk) -> None:
    name = "livestream_well_until_timestamp_seconds"
    story = Story()
    story.link("C", at=0)
    story.link("D", at=20)
    desk.show(story.known)
    lost = await desk.scrape(at=21)
    story.link("E", at=200)
    given_up = await desk.scrape(at=201)
    completed = Story()
    completed.link("C", at=0)
    completed.link("E", at=20)
    desk.show(completed.known)

    assert given_up[key(name, **STREAM)] == START + 20
    for page in (lost, await desk.scrape(at=201)):
        assert not [sample for sample in page if sample.name == name]


async def test_a_stream_without_a_script_has_no_script_families(desk: Desk) -> None:
    story = Story()
    story.link("C", at=0)
    desk.show(story.known)

    page = await desk.scrape(at=1)

    assert not [name for name in page if name.name.startswith("livestream_script_")]


async def test_a_registered_script_has_its_counters_at_0_and_its_plan(desk: Desk) -> None:
    story = Story()
    story.register(plan=4)
    desk.show(story.known)

    page = await desk.scrape(at=1)

    assert page[key("livestream_script_rounds_total", **STREAM)] == 0
    assert page[key("livestream_script_paragraphs_skipped_total", **STREAM)] == 0
    assert page[key("livestream_script_paragraphs_planned", **STREAM, origin="registered")] == 4
    assert page[key("livestream_script_coverage_ratio", **STREAM)] == 0
    assert key("livestream_script_round_coverage_ratio", **STREAM) not in page
    assert key("livestream_script_progress_timestamp_seconds", **STREAM) not in page


async def test_a_script_without_a_plan_has_no_coverage(desk: Desk) -> None:
    story = Story()
    story.paragraph(3, at=5)
    desk.show(story.known)

    page = await desk.scrape(at=6)

    assert page[key("livestream_script_rounds_total", **STREAM)] == 0
    assert page[key("livestream_script_progress_timestamp_seconds", **STREAM)] == START + 5
    assert key("livestream_script_coverage_ratio", **STREAM) not in page


async def test_rounds_and_what_they_skipped_are_exported(desk: Desk) -> None:
    story = Story()
    story.register(plan=4, repeat_count=2)
    story.paragraphs("124 12")
    desk.show(story.settle(story.now + 60))

    page = await desk.scrape(at=story.now)

    assert page[key("livestream_script_rounds_total", **STREAM)] == 1
    assert page[key("livestream_script_paragraphs_skipped_total", **STREAM)] == 1
    assert page[key("livestream_script_round_coverage_ratio", **STREAM)] == 0.75
    assert page[key("livestream_script_coverage_ratio", **STREAM)] == 0.5
    assert page[key("livestream_script_stall_after_seconds", **STREAM)] >= 30
    assert page[key("livestream_script_remaining_seconds", **STREAM)] > 0


async def test_replies_and_missed_callbacks_count(desk: Desk) -> None:
    story = Story()
    story.reply("a", at=0)
    story.reply("b", at=1, channel=Channel.RTC)
    desk.show(story.settle(story.now + 600))

    page = await desk.scrape(at=story.now)

    assert page[key("livestream_replies_finished_total", **STREAM)] == 2
    assert page[key("livestream_callbacks_missed_total", **STREAM)] == 1


async def test_live_warnings_are_absent_until_a_start_is_registered(desk: Desk) -> None:
    story = Story()
    story.link("C", at=0)
    desk.show(story.known)

    page = await desk.scrape(at=1)

    assert not [name for name in page if name.name == "livestream_live_warning"]


async def test_a_vendor_that_gives_no_live_warnings_has_none(desk: Desk) -> None:
    story = Story(Vendor.SOFTSUGAR)
    story.register()
    desk.show(story.known)

    page = await desk.scrape(at=1)

    assert not [name for name in page if name.name == "livestream_live_warning"]


@pytest.mark.parametrize(
    "given", [(), ("RANDOM_PLAY_CLOSED",), ("RANDOM_PLAY_CLOSED", "TOO_QUIET", "A_NEW_ONE")]
)
async def test_each_known_live_warning_is_0_or_1_and_new_ones_are_shown(
    desk: Desk, given: tuple[str, ...]
) -> None:
    story = Story()
    story.register(warnings=given)
    desk.show(story.known)

    page = await desk.scrape(at=1)

    told = {
        dict(name.labels)["warning_type"]: value
        for name, value in page.items()
        if name.name == "livestream_live_warning"
    }
    assert told == dict.fromkeys(registry.live_warnings(Vendor.METASTUDIO), 0) | dict.fromkeys(given, 1)


async def test_each_channel_that_was_heard_has_its_time(desk: Desk) -> None:
    story = Story()
    story.link("C", at=4)
    story.progress(1, 0, at=6)
    desk.show(story.known)

    page = await desk.scrape(at=7)

    name = "livestream_last_event_timestamp_seconds"
    assert {sample: value for sample, value in page.items() if sample.name == name} == {
        key(name, **STREAM, channel="callback"): START + 4,
        key(name, **STREAM, channel="rtc"): START + 6,
    }


async def test_what_the_vendors_api_says_of_a_job_is_exported_once_it_said_so(desk: Desk) -> None:
    story = Story()
    story.link("C", at=0)
    desk.show(story.known)
    assert key("livestream_vendor_duration_seconds", **STREAM) not in await desk.scrape(at=1)

    said = JobObserved(JobState.RUNNING, duration=90.0, push_duration=80.0, warnings=("RANDOM_PLAY_CLOSED",))
    story.tell(said, at=2, channel=Channel.API)
    page = await desk.scrape(at=3)

    assert page[key("livestream_vendor_duration_seconds", **STREAM)] == 90.0
    assert page[key("livestream_vendor_push_seconds", **STREAM)] == 80.0
    assert page[key("livestream_live_warning", **STREAM, warning_type="RANDOM_PLAY_CLOSED")] == 1
