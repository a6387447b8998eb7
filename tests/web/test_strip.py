from monitor.config import HealthSettings
from monitor.event import Channel, JobObserved, JobState, SessionChanged, SessionState, Vendor
from monitor.health.fold import retire
from monitor.health.status import status
from monitor.health.timeline import TRANSITIONS
from monitor.web.strip import STRIP_SECONDS, Part, Shade, in_words, last_hour
from tests.health.story import START, Story


def strip(story: Story, at: float) -> list[Part]:
    assert story.state is not None
    now = START + at
    return last_hour(story.state, status(story.state, now, HealthSettings()), now)


def observed(*, duration: float | None = None, push_duration: float | None = None) -> JobObserved:
    return JobObserved(JobState.RUNNING, duration=duration, push_duration=push_duration)


def shades(parts: list[Part]) -> list[str]:
    return [part.shade.value for part in parts]


def test_a_strip_shows_connection_outage_and_down_up_to_now() -> None:
    story = Story()
    story.link("G", at=0)
    story.link("C", at=10)
    story.link("D", at=1000)

    parts = strip(story, at=1200)

    assert shades(parts) == ["starting", "healthy", "outage", "down"]
    left = STRIP_SECONDS - 1200
    assert [part.begin - left for part in parts] == [0, 10, 1000, 1060]
    assert parts[-1].end == STRIP_SECONDS


def test_what_is_older_than_an_hour_is_cut_off() -> None:
    story = Story()
    story.link("C", at=0)

    assert strip(story, at=20_000) == [Part(0, STRIP_SECONDS, Shade.HEALTHY)]


def test_an_ended_stream_ends_in_its_end() -> None:
    story = Story()
    story.link("C", at=0)
    story.link("E", at=100)

    assert shades(strip(story, at=400)) == ["healthy", "ended"]
    assert strip(story, at=STRIP_SECONDS + 500) == [Part(0, STRIP_SECONDS, Shade.ENDED)]


def test_what_is_older_than_the_kept_transitions_is_unknown() -> None:
    story = Story()
    story.links(" ".join("CD" * TRANSITIONS), step=20)

    parts = strip(story, at=story.now)

    assert parts[0].shade is Shade.UNKNOWN
    assert Shade.UNKNOWN not in [part.shade for part in parts[1:]]


def test_of_a_stream_of_which_only_its_end_is_kept_nothing_is_known_before_it() -> None:
    story = Story()
    story.link("C", at=0)
    story.link("E", at=1000)
    story.state = retire(story.known)

    assert strip(story, at=2000) == [
        Part(STRIP_SECONDS - 2000, STRIP_SECONDS - 1000, Shade.UNKNOWN),
        Part(STRIP_SECONDS - 1000, STRIP_SECONDS, Shade.ENDED),
    ]


def test_the_first_connecting_is_no_outage_and_a_later_one_is() -> None:
    story = Story()
    story.link("G", at=0)
    story.link("C", at=100)
    story.link("G", at=200)
    story.link("C", at=230)

    assert shades(strip(story, at=300)) == ["starting", "healthy", "outage", "healthy"]


def test_a_start_that_fails_and_tries_again_is_no_outage() -> None:
    story = Story()
    story.link("G", at=0)
    story.link("D", at=10)
    story.link("G", at=100)
    story.link("C", at=200)
    story.link("D", at=500)

    assert shades(strip(story, at=530)) == ["starting", "healthy", "degraded"]


def test_a_stream_of_which_a_loss_is_heard_first_is_in_an_outage() -> None:
    story = Story()
    story.register()
    story.link("D", at=10)
    story.link("C", at=200)

    assert shades(strip(story, at=530)) == ["starting", "outage", "healthy"]


def test_a_push_that_the_api_proved_is_connected_until_it_is_lost_again() -> None:
    story = Story()
    story.links("C D")
    for at in (90.0, 100.0):
        story.tell(observed(duration=at, push_duration=at - 10), at=at, channel=Channel.API)
    story.link("D", at=1000, signed=1000)

    assert shades(strip(story, at=1030)) == ["healthy", "outage", "healthy", "degraded"]


def test_a_session_that_the_api_knows_to_run_is_connected_until_its_end() -> None:
    story = Story(vendor=Vendor.SOFTSUGAR)
    story.tell(SessionChanged(SessionState.STARTING), at=0)
    story.tell(observed(), at=60, channel=Channel.API)
    story.tell(SessionChanged(SessionState.COMPLETED), at=1000)

    assert shades(strip(story, at=1200)) == ["starting", "healthy", "ended"]


def test_a_stream_that_was_opened_again_is_drawn_as_what_opened_it_says() -> None:
    story = Story()
    story.link("C", at=0)
    story.link("E", at=100)
    story.link("C", at=200)
    story.link("D", at=1000)

    assert shades(strip(story, at=1030)) == ["healthy", "ended", "healthy", "degraded"]


def test_a_stream_that_only_seemed_to_be_over_goes_on_as_it_was() -> None:
    story = Story()
    story.link("C", at=0)
    story.tell(JobObserved(JobState.MISSING), at=100, channel=Channel.API)
    story.paragraph(1, at=200)
    story.link("D", at=1000)

    assert shades(strip(story, at=1030)) == ["healthy", "ended", "healthy", "degraded"]


def test_a_stream_that_connects_anew_after_its_end_is_starting() -> None:
    story = Story()
    story.link("C", at=0)
    story.link("E", at=100)
    story.link("G", at=200)
    story.link("C", at=300)
    story.link("D", at=1000)

    assert shades(strip(story, at=1030)) == ["healthy", "ended", "starting", "healthy", "degraded"]


def test_a_strip_is_said_in_words_the_longest_first() -> None:
    parts = [
        Part(0, 600, Shade.HEALTHY),
        Part(600, 630, Shade.OUTAGE),
        Part(630, 1230, Shade.HEALTHY),
        Part(1230, 1230.5, Shade.DOWN),
    ]

    assert in_words(parts) == "Last hour: connected 20 min, outage 30 s."
    assert in_words([]) == "Last hour: nothing."
