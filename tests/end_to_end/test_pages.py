"""From a vendor's callback to the pager: by a real Prometheus and a real Alertmanager, in real time."""

import signal
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest

from monitor.config import load_settings
from monitor.event import LinkChanged, LinkState
from monitor.replay import Events, Period, opened
from tests.end_to_end.paging import (
    DOWN_AFTER,
    EVALUATION,
    GROUP_INTERVAL,
    GROUP_WAIT,
    KEEP_ABNORMAL,
    SCRAPE,
    Stream,
    Watch,
)
from tests.end_to_end.running import Simulation, wait_for

# One line of servers for all of the file; in turn with the other file that has such a line.
pytestmark = pytest.mark.xdist_group("operators")

SOURCE = "metastudio-open"

PAGE_FLOOR = DOWN_AFTER + SCRAPE + EVALUATION + GROUP_WAIT
RECOVERY_FLOOR = SCRAPE + EVALUATION + GROUP_INTERVAL

LIMIT_SECONDS = 30
"""How long a test waits for what has to come; how soon it came is printed."""


@pytest.fixture(scope="module")
def watch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watch]:
    one = Watch(tmp_path_factory.mktemp("watch"))
    one.start()
    yield one
    one.close()


class Outage(NamedTuple):
    """An outage as it was told. until: of the CONNECTED that ended it; None if something else did."""

    job_id: str
    since: float
    until: float | None


async def outages(watch: Watch) -> list[Outage]:
    """Return the outages of all streams that lasted long enough for a page."""
    settings = load_settings(watch.service.config, {})
    out: dict[str, float] = {}
    found = []
    async with opened(settings) as log:
        async for stored, decoded in Events(log, settings, Period(), lambda _: None):
            payload, event = decoded.payload, stored.event
            if not isinstance(payload, LinkChanged):
                continue
            if payload.state in (LinkState.DISCONNECTED, LinkState.RECONNECTING):
                out.setdefault(event.job_id, event.received)
            elif event.job_id in out:
                since = out.pop(event.job_id)
                back = payload.state is LinkState.CONNECTED
                if event.received - since > DOWN_AFTER + SCRAPE + EVALUATION + 1:
                    found.append(Outage(event.job_id, since, event.received if back else None))
    return found


async def test_each_outage_pages_and_its_end_resolves_the_page(
    watch: Watch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Simulation(watch.service, streams=36, duration=200, speed=5, scenario="outage", seed=5)
    run.start()
    run.finish(seconds=90)
    found = await outages(watch)
    assert len(found) >= 5
    hear = partial(watch.pager.hear, within=LIMIT_SECONDS)
    pages, recoveries = [], []
    for job_id, since, until in found:
        pages.append(hear("LivestreamDown", job_id, "firing", after=since) - since)
        if until is not None:
            recoveries.append(hear("LivestreamDown", job_id, "resolved", after=until) - until)
    with capsys.disabled():
        for what, times, floor in (
            ("DISCONNECTED to page", pages, PAGE_FLOOR),
            ("CONNECTED to resolved", recoveries, RECOVERY_FLOOR),
        ):
            over = max(times) - floor
            sys.stdout.write(
                f"\n{what}: {len(times)} times, {min(times):.2f} to {max(times):.2f} s; "
                f"floor {floor} s, overhead at most {over:.2f} s\n"
            )


def test_a_stream_that_is_given_up_stays_on_the_pager_until_its_room_is_healthy(watch: Watch) -> None:
    old, new = Stream(watch, "given-up-1", "room-1"), Stream(watch, "taken-over-1", "room-1")
    forgotten = Stream(watch, "given-up-2")
    hear = partial(watch.pager.hear, within=LIMIT_SECONDS)
    old.register()
    for stream in (old, forgotten):
        stream.tell(LinkState.CONNECTED)
        stream.tell(LinkState.DISCONNECTED)
    for stream in (old, forgotten):
        hear("LivestreamDown", stream.job_id, "firing")
    old.tell(LinkState.END)
    ended = forgotten.tell(LinkState.END)
    for stream in (old, forgotten):
        taken_over = hear("LivestreamEndedAbnormally", stream.job_id, "firing")
        closed = hear("LivestreamDown", stream.job_id, "resolved")
        assert taken_over < closed
    assert watch.pager.first("LivestreamEndedAbnormally", old.job_id, "resolved") is None

    new.register()
    healthy = new.tell(LinkState.CONNECTED)
    assert hear("LivestreamEndedAbnormally", old.job_id, "resolved") > healthy
    expired = hear(
        "LivestreamEndedAbnormally", forgotten.job_id, "resolved", within=KEEP_ABNORMAL + LIMIT_SECONDS
    )
    assert expired > ended + KEEP_ABNORMAL


def test_half_of_a_vendors_streams_are_one_page(watch: Watch) -> None:
    begun = time.time()
    streams = [Stream(watch, f"of-many-{number}") for number in range(40)]
    for stream in streams:
        stream.tell(LinkState.CONNECTED)
    for stream in streams[::2]:
        stream.tell(LinkState.DISCONNECTED)
    firing = 'count(ALERTS{alertname="LivestreamDown",alertstate="firing",job_id=~"of-many-.*"}) == 20'
    wait_for(lambda: watch.prometheus.query(firing), seconds=LIMIT_SECONDS, what="twenty streams down")
    # They have been down long enough to be paged one by one, had they not been held back.
    wait_for(
        lambda: (
            sum(
                one["labels"]["alertname"] == "LivestreamDown" and one["status"]["state"] == "suppressed"
                for one in watch.alertmanager.alerts()
            )
            == 20
        ),
        seconds=LIMIT_SECONDS,
        what="twenty pages held back",
    )
    wait_for(lambda: watch.pager.incidents(SOURCE, after=begun), seconds=LIMIT_SECONDS, what="the page")
    for stream in streams[::2]:
        stream.tell(LinkState.CONNECTED)
    wait_for(
        lambda: (
            watch.pager.first("LivestreamVendorIncident", "", "resolved", after=begun)
            or any("resolve" in told for told in watch.pager.incidents(SOURCE, after=begun).values())
        ),
        seconds=LIMIT_SECONDS,
        what="the end of the incident",
    )
    incidents = watch.pager.incidents(SOURCE, after=begun)
    assert len(incidents) == 1, incidents
    titles = {
        notice.body["payload"]["class"]
        for notice in watch.pager.notices
        if notice.path == "/pager" and notice.at >= begun and notice.body["event_action"] == "trigger"
    }
    assert titles == {"LivestreamVendorIncident"}


def test_restarts_and_missed_scrapes_neither_open_nor_close_a_page(tmp_path: Path) -> None:
    # A line of its own: whatever else is open would be shaken, too.
    watch = Watch(tmp_path)
    watch.start()
    try:
        _shake(watch)
    finally:
        watch.close()


def _shake(watch: Watch) -> None:
    down, fine = Stream(watch, "down-throughout"), Stream(watch, "fine-throughout")
    begun = time.time()
    for stream in (down, fine):
        stream.tell(LinkState.CONNECTED)
    down.tell(LinkState.DISCONNECTED)
    watch.pager.hear("LivestreamDown", down.job_id, "firing", within=LIMIT_SECONDS)

    # A scrape is missed: the service doesn't answer within the time of one.
    process = watch.service.process
    assert process is not None
    process.send_signal(signal.SIGSTOP)
    wait_for(lambda: watch.prometheus.query("up == 0"), seconds=LIMIT_SECONDS, what="a missed scrape")
    process.send_signal(signal.SIGCONT)
    watch.wait_for_scrape()

    watch.service.kill()
    wait_for(lambda: watch.prometheus.query("up == 0"), seconds=LIMIT_SECONDS, what="a service that is gone")
    watch.service.start()
    watch.wait_for_scrape()

    watch.prometheus.stop()
    watch.prometheus.start()
    watch.wait_for_scrape()
    # Evaluated and sent at least once more since.
    settled = time.time()
    wait_for(
        lambda: watch.prometheus.query(f'timestamp(ALERTS{{alertname="Watchdog"}}) > {settled + 2}'),
        seconds=LIMIT_SECONDS,
        what="an evaluation after all of it",
    )
    assert watch.pager.first("LivestreamDown", down.job_id, "resolved") is None
    back = down.tell(LinkState.CONNECTED)
    watch.pager.hear("LivestreamDown", down.job_id, "resolved", after=back, within=LIMIT_SECONDS)

    def actions() -> list[list[str]]:
        return list(watch.pager.incidents(SOURCE, after=begun).values())

    # Each receiver is told on its own: this one may hear a moment later.
    wait_for(lambda: "resolve" in actions()[0], seconds=LIMIT_SECONDS, what="the end of the incident")
    assert [one[0] for one in actions()] == ["trigger"]
    assert [one.count("resolve") for one in actions()] == [1]
    heard = {
        alert["labels"]["alertname"]
        for notice in watch.pager.notices
        if notice.path == "/webhook" and notice.at >= begun
        for alert in notice.body["alerts"]
        if alert["status"] == "firing"
    }
    assert heard == {"LivestreamDown"}


def test_the_dead_mans_switch_is_told_again_and_again(watch: Watch) -> None:
    notices = [notice for notice in watch.pager.notices if notice.path == "/switch"]
    assert [alert["labels"]["alertname"] for alert in notices[0].body["alerts"]] == ["Watchdog"]


def test_a_page_says_which_stream_since_when_what_is_known_and_what_to_do(watch: Watch) -> None:
    page = next(
        notice.body
        for notice in watch.pager.notices
        if notice.path == "/pager" and "given-up-1" in str(notice.body) and "payload" in notice.body
    )
    text = page["payload"]["custom_details"]["what"]
    assert f"{SOURCE}/given-up-1 is down" in text
    assert "down since 20" in text
    assert "room room-1" in text
    assert "/LivestreamDown.md" in text
    assert "/d/livestream-stream?var-vendor=metastudio" in text
    assert page["payload"]["severity"] == "critical"
