import asyncio
import gzip
from asyncio.subprocess import PIPE

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import Metric

from monitor.clock import stopwatch
from monitor.event import (
    Channel,
    JobObserved,
    JobRegistered,
    JobState,
    LinkChanged,
    LinkState,
    Paragraph,
    ParagraphStarted,
    Payload,
    RandomPlayMode,
    ReplyFinished,
    ScriptProgress,
    SessionChanged,
    SessionState,
    Unrecognised,
    Vendor,
)
from monitor.health.status import Status
from monitor.health.stream import StreamKey, StreamState
from monitor.metrics.catalogue import SERVICE_FAMILIES, STREAM_FAMILIES, STREAM_LABELS, FamilyType
from monitor.metrics.exposition import SLICE
from tests.components import promtool
from tests.health.story import START, Story
from tests.metrics.building import OPENMETRICS, TEXT, Desk, families, key, samples

# What Prometheus 2.42 asks for.
PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)

CATALOGUE = {line.name: line for line in STREAM_FAMILIES + SERVICE_FAMILIES}

# What breaks a format that isn't careful: its own quotes, escapes, line ends and separators.
TEXTS = st.text(
    st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from('\\"\n,{}=# ')), max_size=20
)
PARAGRAPHS = st.builds(Paragraph, TEXTS, st.integers(1, 4))
PAYLOADS: st.SearchStrategy[Payload] = st.one_of(
    st.builds(LinkChanged, st.sampled_from("ab"), st.sampled_from(LinkState), TEXTS),
    st.builds(ParagraphStarted, PARAGRAPHS),
    st.builds(ScriptProgress, PARAGRAPHS, st.none() | st.integers(0, 100)),
    st.builds(ReplyFinished, TEXTS),
    st.builds(SessionChanged, st.none() | st.sampled_from(SessionState), st.none() | st.integers(0, 10**8)),
    st.builds(Unrecognised, TEXTS),
    st.builds(
        JobRegistered,
        room_id=st.none() | TEXTS,
        rtc_room_id=st.none() | TEXTS,
        play_mode=st.none() | TEXTS,
        random_play_mode=st.none() | st.sampled_from(RandomPlayMode),
        view_mode=st.none() | TEXTS,
        repeat_count=st.none() | st.integers(-1, 5),
        max_duration=st.none() | st.floats(0, 10**6),
        plan=st.lists(PARAGRAPHS, max_size=4, unique=True).map(tuple),
        warnings=st.none() | st.lists(TEXTS | st.just("RANDOM_PLAY_CLOSED"), max_size=3).map(tuple),
    ),
)
TOLD = st.lists(
    st.tuples(PAYLOADS, st.sampled_from(Channel), st.floats(0, 500), st.booleans()), min_size=1, max_size=12
)


@st.composite
def states(draw: st.DrawFn) -> StreamState:
    """Draw what the real fold makes of arbitrary events, under an arbitrary job id."""
    story = Story(draw(st.sampled_from(Vendor)))
    for payload, channel, wait, signed in draw(TOLD):
        at = story.now + wait
        story.tell(payload, at=at, channel=channel, signed=int(at) if signed else None)
    state = story.settle(story.now + draw(st.floats(0, 100)))
    state.job_id = draw(TEXTS)
    state.source = draw(st.sampled_from(["studio", "sugar"]))
    return state


def connected(job_id: str = "job", *, at: float = 0.0) -> StreamState:
    """A stream that is connected since `at` seconds after START."""
    story = Story()
    story.link("C", at=at)
    story.known.job_id = job_id
    return story.known


def ended(outcome: str, *, at: float) -> StreamState:
    """A stream that ended at `at` seconds after START, completed or cut off."""
    story = Story()
    story.link("C", at=0)
    if outcome == "cut_off":
        story.link("D", at=at - 5)
    story.link("E", at=at)
    return story.known


def in_text_style(metric: Metric) -> tuple[str, str, str]:
    return metric.name.removesuffix("_total"), metric.type, metric.documentation


@given(st.lists(states(), max_size=4), st.floats(0, 20_000))
def test_both_formats_say_the_same_and_no_more_than_the_catalogue(
    drawn: list[StreamState], at: float
) -> None:
    async def pages() -> list[list[Metric]]:
        desk = Desk()
        desk.service.declare_source(Vendor.METASTUDIO, "studio", [(1, "quota")])
        desk.show(*drawn)
        desk.clock.time = START + at
        rendered = [await desk.exposition.render(accept, "") for accept in (TEXT, OPENMETRICS)]
        desk.exposition.close()
        return [families(page) for page in rendered]

    text, openmetrics = asyncio.run(pages())

    assert samples(text) == samples(openmetrics)
    assert sorted(map(in_text_style, text)) == sorted(map(in_text_style, openmetrics))
    for metric in text:
        line = CATALOGUE[f"{metric.name}_total" if metric.type == "counter" else metric.name]
        assert (metric.type, metric.documentation) == (line.type, line.help)
        of_streams = STREAM_LABELS if line in STREAM_FAMILIES else ()
        for sample in metric.samples:
            assert set(sample.labels) - {"le"} == {*of_streams, *line.labels}


@given(st.lists(states(), max_size=4))
def test_each_stream_is_there_under_its_own_job_id(drawn: list[StreamState]) -> None:
    async def page() -> dict[StreamKey, float]:
        desk = Desk()
        desk.show(*drawn)
        scraped = await desk.scrape()
        desk.exposition.close()
        named = [
            (dict(name.labels), value) for name, value in scraped.items() if name.name == "livestream_info"
        ]
        return {StreamKey(labels["source"], labels["job_id"]): value for labels, value in named}

    assert asyncio.run(page()) == {state.key: 1.0 for state in drawn}


async def test_the_families_of_the_catalogue_all_have_their_header(desk: Desk) -> None:
    page = families(await desk.exposition.render(TEXT, ""))

    names = {f"{metric.name}_total" if metric.type == "counter" else metric.name for metric in page}
    assert names == set(CATALOGUE)


async def test_promtool_has_no_complaint_about_a_full_page(desk: Desk) -> None:
    story = Story()
    story.register(plan=3, repeat_count=2, warnings=("RANDOM_PLAY_CLOSED",))
    story.tell(JobRegistered(max_duration=7200.0), at=0, channel=Channel.API)
    story.links("G C D R C")
    story.paragraphs("123 12")
    story.progress(2, 7, at=story.now)
    story.reply("a", at=story.now)
    said = JobObserved(JobState.RUNNING, duration=90.0, push_duration=80.0)
    story.tell(said, at=story.now, channel=Channel.API)
    last = ended("cut_off", at=50)
    last.job_id = "another"
    desk.show(story.settle(story.now + 60), last)
    service = desk.service
    service.declare_source(Vendor.METASTUDIO, "prod", [(1, "quota")])
    service.events.labels(Vendor.METASTUDIO, "prod", Channel.CALLBACK, "unknown", "applied").inc(3)
    service.event_delay.observe_many([0.004, 12.0])
    service.declare_listener("receiver", ["not_http"])("not_http")
    service.callback_duration.labels("prod").observe(0.003)
    service.clock_skew.labels("prod").set(-0.4)
    service.signature_forms.labels("prod", "sorted_query").inc()
    service.reconcile_calls.labels("prod").inc()
    service.reconcile_failures.labels("prod", "unreachable").inc()
    service.reconcile_differences.labels("prod", "end").inc()
    service.reconcile_round_timestamp.labels("prod").set(START)
    service.log_lag.labels("0").set(1)
    service.log_oldest_unfolded.set(START)
    service.checkpoint_timestamp.set(START)
    service.spool_events.set(2)
    service.spool_bytes.set(700)
    service.spool_capacity_bytes.set(1e9)
    service.spool_oldest.set(START)
    desk.clock.time = START + story.now

    page = await desk.exposition.render(TEXT, "")
    filled = {sample.name for metric in families(page) for sample in metric.samples}
    checking = await asyncio.create_subprocess_exec(
        promtool(), "check", "metrics", stdin=PIPE, stdout=PIPE, stderr=PIPE
    )
    printed = await asyncio.wait_for(checking.communicate(page.body), timeout=60)

    histograms = {line.name for line in CATALOGUE.values() if line.type is FamilyType.HISTOGRAM}
    assert set(CATALOGUE) - histograms <= filled
    assert (checking.returncode, *printed) == (0, b"", b"")


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", "text/plain; version=0.0.4; charset=utf-8"),
        ("*/*", "text/plain; version=0.0.4; charset=utf-8"),
        (TEXT, "text/plain; version=0.0.4; charset=utf-8"),
        ("text/plain;version=nonsense", "text/plain; version=0.0.4; charset=utf-8"),
        (
            "text/plain;version=1.0.0;escaping=allow-utf-8",
            "text/plain; version=1.0.0; charset=utf-8; escaping=allow-utf-8",
        ),
        (
            "text/plain;version=1.0.0;escaping=dots",
            "text/plain; version=1.0.0; charset=utf-8; escaping=underscores",
        ),
        (
            PROMETHEUS,
            "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores",
        ),
        (
            "application/openmetrics-text;version=0.0.1,text/plain;version=0.0.4;q=0.5",
            "text/plain; version=0.0.4; charset=utf-8",
        ),
        # What this writes is 1.0.0, whatever else is asked for first.
        (
            "application/openmetrics-text;version=2.0.0;q=0.9,application/openmetrics-text;version=1.0.0;q=0.8",
            "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores",
        ),
        ("application/openmetrics-text; version=2.0.0", "text/plain; version=0.0.4; charset=utf-8"),
        ("application/openmetrics-text; q=0, text/plain", "text/plain; version=0.0.4; charset=utf-8"),
        (
            "application/openmetrics-text;Q=0.000;version=1.0.0, */*",
            "text/plain; version=0.0.4; charset=utf-8",
        ),
        (
            "application/openmetrics-text;version=1.0.0;q=0.01",
            "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores",
        ),
    ],
)
async def test_the_format_is_what_the_client_reads(desk: Desk, accept: str, content_type: str) -> None:
    desk.show(connected())

    page = await desk.exposition.render(accept, "")

    assert page.content_type == content_type
    ends = page.body.count(b"# EOF\n")
    assert ends == (1 if content_type.startswith("application/openmetrics-text") else 0)
    assert page.body.endswith(b"# EOF\n") is bool(ends)
    assert len([name for name in samples(families(page)) if name.name == "livestream_info"]) == 1


@pytest.mark.parametrize("accept", [TEXT, OPENMETRICS])
async def test_gzip_carries_the_same_page(desk: Desk, accept: str) -> None:
    desk.show(connected())

    plain = await desk.exposition.render(accept, "identity, br")
    refused = await desk.exposition.render(accept, "gzip; q=0.0, br")
    zipped = await desk.exposition.render(accept, "br, gzip;q=0.8")

    assert (plain.encoding, refused.encoding, zipped.encoding) == (None, None, "gzip")
    assert gzip.decompress(zipped.body) == plain.body


@pytest.mark.parametrize(("outcome", "keep"), [("completed", 900), ("cut_off", 14_400)])
async def test_an_ended_stream_goes_after_its_time(desk: Desk, outcome: str, keep: int) -> None:
    desk.show(ended(outcome, at=100))

    last = await desk.scrape(at=100 + keep)
    gone = await desk.scrape(at=100 + keep + 0.001)

    assert [name for name in last if name.name == "livestream_info"]
    assert not [name for name in gone if name.name.startswith("livestream_")]


async def test_the_marker_of_an_ended_stream_has_no_series(desk: Desk) -> None:
    desk.show(ended("completed", at=100))
    marker = StreamKey("prod", "job")
    desk.shard.tick(START + 5000, [marker])

    page = await desk.scrape(at=100)

    assert desk.shard.streams[marker].retired
    assert not [name for name in page if name.name.startswith("livestream_")]


async def test_a_process_that_recovers_exports_no_streams_and_claims_no_number(desk: Desk) -> None:
    desk.service.declare_source(Vendor.METASTUDIO, "prod", [])
    desk.show(connected())
    before = await desk.scrape()
    desk.fleet.leave(0)
    desk.fleet.recovering = True

    page = await desk.scrape()

    assert [name for name in before if name.name.startswith(("livestream_", "monitor_streams"))]
    assert not [name for name in page if name.name.startswith(("livestream_", "monitor_streams"))]


async def test_a_process_whose_streams_nobody_confirms_says_that_it_hides_them(desk: Desk) -> None:
    desk.service.declare_source(Vendor.METASTUDIO, "prod", [])
    desk.show(connected())
    assert (await desk.scrape())[key("monitor_recovering")] == 0

    desk.fleet.expires = stopwatch() - 1
    page = await desk.scrape()

    # Rules take streams without series for gone, unless a process that recovers may have them.
    assert page[key("monitor_recovering")] == 1
    assert not [name for name in page if name.name.startswith(("livestream_", "monitor_streams"))]


async def test_streams_are_counted_by_status_with_zeros_for_each_source(desk: Desk) -> None:
    desk.service.declare_source(Vendor.METASTUDIO, "prod", [])
    desk.service.declare_source(Vendor.SOFTSUGAR, "sugar", [])
    desk.show(connected("a"), connected("b"), ended("completed", at=1))

    page = await desk.scrape(at=2)

    numbers = {name: value for name, value in page.items() if name.name == "monitor_streams"}
    expected = {
        key("monitor_streams", vendor=vendor, source=source, status=status): 0.0
        for vendor, source in (("metastudio", "prod"), ("softsugar", "sugar"))
        for status in Status
    }
    expected[key("monitor_streams", vendor="metastudio", source="prod", status="healthy")] = 2
    expected[key("monitor_streams", vendor="metastudio", source="prod", status="ended")] = 1
    assert numbers == expected


@pytest.mark.parametrize("restarts", [False, True], ids=["goes on", "restarts"])
async def test_seconds_never_fall_when_an_event_was_on_its_way_at_the_last_scrape(
    desk: Desk, *, restarts: bool
) -> None:
    story = Story()
    story.link("C", at=0)
    desk.show(story.known)
    seconds = key("livestream_connected_seconds_total", vendor="metastudio", source="prod", job_id="job")
    before = await desk.scrape(at=10.5)

    story.link("D", at=9.75)
    # It knows nothing of what it has shown before.
    after_it = Desk() if restarts else desk
    after_it.show(story.known)
    after = await after_it.scrape(at=11)
    story.link("C", at=12)
    later = await after_it.scrape(at=20)

    assert (before[seconds], after[seconds], later[seconds]) == (9.5, 9.75, 16.75)


async def test_seconds_never_fall_when_an_event_was_in_a_spool_for_long(desk: Desk) -> None:
    story = Story()
    story.link("C", at=0)
    desk.show(story.known)
    seconds = key("livestream_connected_seconds_total", vendor="metastudio", source="prod", job_id="job")
    before = await desk.scrape(at=10.5)

    story.link("D", at=5.25)
    after = await desk.scrape(at=11)
    story.link("C", at=12)
    later = await desk.scrape(at=20)

    assert (before[seconds], after[seconds], later[seconds]) == (9.5, 9.5, 12.25)


async def test_seconds_of_an_outage_never_fall_either(desk: Desk) -> None:
    story = Story()
    story.link("D", at=0)
    desk.show(story.known)
    seconds = key("livestream_outage_seconds_total", vendor="metastudio", source="prod", job_id="job")
    before = await desk.scrape(at=10.5)

    story.link("C", at=5.25)
    after = await desk.scrape(at=11)
    story.link("D", at=12)
    later = await desk.scrape(at=20)

    assert (before[seconds], after[seconds], later[seconds]) == (9.5, 9.5, 12.25)


async def test_a_moment_in_which_the_clock_is_an_hour_ahead_is_over_once_it_is_right_again(
    desk: Desk,
) -> None:
    story = Story()
    story.link("C", at=0)
    story.paragraph(1, at=1)
    desk.show(story.known)
    stream = {"vendor": "metastudio", "source": "prod", "job_id": "job"}
    seconds = key("livestream_connected_seconds_total", **stream)
    silent = key("livestream_status", **stream, status="silent")

    ahead = await desk.scrape(at=3610)
    story.paragraph(2, at=11)
    right = await desk.scrape(at=12)
    story.paragraph(3, at=3619)
    later = await desk.scrape(at=3620)

    assert (ahead[silent], right[silent], later[silent]) == (1, 0, 0)
    assert (ahead[seconds], right[seconds], later[seconds]) == (3609, 3609, 3619)


@pytest.mark.parametrize(
    ("link", "name"),
    [("C", "livestream_connected_seconds_total"), ("D", "livestream_outage_seconds_total")],
)
async def test_a_lost_streams_seconds_are_the_same_before_that_was_noted_and_after_a_restart(
    desk: Desk, link: str, name: str
) -> None:
    story = Story()
    story.link(link, at=0)
    desk.show(story.known)
    lost_after = desk.settings.abandon_after_seconds
    seconds = key(name, vendor="metastudio", source="prod", job_id="job")

    before = await desk.scrape(at=lost_after + 2.5)
    restarted = Desk()
    restarted.show(story.settle(lost_after + 3))
    after = await restarted.scrape(at=lost_after + 3)

    assert before[seconds] == after[seconds] == lost_after


async def test_seconds_never_fall_over_a_time_in_which_the_group_confirmed_nothing(desk: Desk) -> None:
    story = Story()
    story.link("C", at=0)
    desk.show(story.known)
    seconds = key("livestream_connected_seconds_total", vendor="metastudio", source="prod", job_id="job")
    before = await desk.scrape(at=10.5)

    desk.fleet.expires = stopwatch() - 1
    meanwhile = await desk.scrape(at=20)
    # It was in a spool, for as long as Kafka was away.
    story.link("D", at=8.25)
    desk.fleet.expires = stopwatch() + 60
    after = await desk.scrape(at=30)

    assert seconds not in meanwhile
    assert (before[seconds], after[seconds]) == (9.5, 9.5)


async def test_seconds_never_fall_where_partitions_go_and_come_back(desk: Desk) -> None:
    story = Story()
    story.link("C", at=0)
    desk.show(story.known)
    seconds = key("livestream_connected_seconds_total", vendor="metastudio", source="prod", job_id="job")
    before = await desk.scrape(at=10.5)

    desk.fleet.leave(desk.shard.partition)
    desk.fleet.recovering = True
    meanwhile = await desk.scrape(at=11)
    story.link("D", at=5.25)
    desk.fleet.join(desk.shard)
    desk.fleet.recovering = False
    after = await desk.scrape(at=12)

    assert seconds not in meanwhile
    assert (before[seconds], after[seconds]) == (9.5, 9.5)


async def test_nothing_is_kept_of_a_stream_that_went(desk: Desk) -> None:
    desk.show(connected())
    seconds = key("livestream_connected_seconds_total", vendor="metastudio", source="prod", job_id="job")
    await desk.scrape(at=10)

    desk.shard.streams.clear()
    assert seconds not in await desk.scrape(at=11)
    desk.show(connected(at=12))

    assert (await desk.scrape(at=14))[seconds] == 1


async def test_concurrent_scrapes_get_whole_pages(desk: Desk) -> None:
    desk.show(*(connected(str(number)) for number in range(3 * SLICE)))

    pages = await asyncio.gather(*(desk.exposition.render(TEXT, "") for _ in range(4)))

    # The service's own families may differ between two scrapes; the streams' don't.
    assert len({page.body for page in pages}) == 1
    assert pages[0].body.count(b"\nlivestream_info{") == 3 * SLICE


async def test_the_event_loop_goes_on_between_slices(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.show(*(connected(str(number)) for number in range(10 * SLICE)))
    turns, at_slices = 0, list[int]()

    def now() -> float:
        at_slices.append(turns)
        return START

    async def work() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    # Each slice asks for the time; beside the thread that writes there are turns in any case.
    monkeypatch.setattr(desk.fleet, "now", now)
    working = asyncio.create_task(work())
    await desk.exposition.render(TEXT, "")
    working.cancel()

    assert len(at_slices) == 10
    assert len(set(at_slices)) == 10


async def test_streams_may_change_and_go_while_a_page_is_made(desk: Desk) -> None:
    stories = []
    for number in range(5 * SLICE):
        story = Story()
        story.link("C", at=0)
        story.known.job_id = str(number)
        stories.append(story)
    desk.show(*(story.known for story in stories))
    at, changes = 0.0, 0

    async def fold() -> None:
        nonlocal at, changes
        while True:
            for number, story in enumerate(stories):
                at += 0.001
                story.link("DC"[changes % 2], at=at, output=str(changes % 7))
                story.paragraph(1 + changes % 9, at=at)
                story.tell(JobRegistered(warnings=(f"NEW_{changes}",)), at=at, channel=Channel.API)
                if number % 50 == 0:
                    await asyncio.sleep(0)
            desk.shard.streams.pop(stories[changes % len(stories)].known.key, None)
            changes += 1

    folding = asyncio.create_task(fold())
    for accept in (TEXT, OPENMETRICS, TEXT, OPENMETRICS):
        page = samples(families(await desk.exposition.render(accept, "gzip")))
        told = [name for name in page if name.name == "livestream_status" and page[name] == 1]
        assert len(told) == len([name for name in page if name.name == "livestream_info"])
    folding.cancel()

    assert changes > 0
