from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from monitor.config import LinkSettings
from monitor.event import Vendor
from monitor.health.status import Status, Trouble, Verdict
from monitor.health.stream import Outcome
from monitor.web.addresses import Link, links, page_of

SETTINGS = LinkSettings(
    grafana_url="https://grafana.example.com/",
    alertmanager_url="https://alertmanager.example.com",
    runbook_url="https://runbooks.example.com/alerts",
)


def of(
    status: Status, outcome: Outcome | None = None, job_id: str = "job", troubles: tuple[Trouble, ...] = ()
) -> dict[str, str]:
    verdict = Verdict(status, 0.0, (), troubles)
    found = links(SETTINGS, Vendor.METASTUDIO, "prod", job_id, verdict, outcome)
    return {link.title: link.address for link in found}


def test_nothing_is_linked_that_is_not_configured() -> None:
    down = Verdict(Status.DOWN, 0.0, ())
    found: list[Link] = links(LinkSettings(), Vendor.METASTUDIO, "prod", "job", down, None)
    assert found == []


def test_the_dashboard_opens_at_the_stream() -> None:
    address = urlsplit(of(Status.HEALTHY, job_id="a&b=c")["Dashboard"])

    assert (address.netloc, address.path) == ("grafana.example.com", "/d/livestream-stream")
    assert parse_qs(address.query) == {
        "var-vendor": ["metastudio"],
        "var-source": ["prod"],
        "var-stream": ["a&b=c"],
    }


def test_the_silence_matches_this_stream_alone_whatever_its_id_holds() -> None:
    address = of(Status.DOWN, job_id='a"b\\c')["Silence this stream"]

    base, _, matchers = unquote(address).partition("filter=")
    assert base == "https://alertmanager.example.com/#/silences/new?"
    assert matchers == r'{vendor="metastudio", source="prod", job_id="a\"b\\c"}'


@pytest.mark.parametrize(
    ("status", "outcome", "runbook"),
    [
        (Status.DOWN, None, "LivestreamDown"),
        (Status.SILENT, None, "LivestreamSilent"),
        (Status.STARTING, None, "LivestreamStuckConnecting"),
        (Status.HEALTHY, None, None),
        (Status.ENDED, Outcome.COMPLETED, None),
        (Status.ENDED, Outcome.CUT_OFF, "LivestreamEndedAbnormally"),
    ],
)
def test_the_runbook_is_that_of_the_streams_trouble(
    status: Status, outcome: Outcome | None, runbook: str | None
) -> None:
    found = [address for title, address in of(status, outcome).items() if title.startswith("Runbook")]

    assert found == ([] if runbook is None else [f"https://runbooks.example.com/alerts/{runbook}.md"])


def test_each_trouble_of_a_degraded_stream_has_its_own_runbook() -> None:
    found = {
        trouble: [title for title in of(Status.DEGRADED, troubles=(trouble,)) if "Runbook" in title]
        for trouble in Trouble
    }

    assert found == {
        Trouble.OUTAGE: ["Runbook LivestreamDown"],
        Trouble.FLAPPING: ["Runbook LivestreamFlapping"],
        Trouble.STALLED: ["Runbook LivestreamScriptStalled"],
        Trouble.PUSHLESS: ["Runbook LivestreamRunningWithoutPush"],
        Trouble.UNCALLED: ["Runbook MonitorCallbacksMissed"],
    }
    both = of(Status.DEGRADED, troubles=(Trouble.FLAPPING, Trouble.STALLED))
    assert [title for title in both if "Runbook" in title] == [
        "Runbook LivestreamFlapping",
        "Runbook LivestreamScriptStalled",
    ]


def test_every_runbook_that_is_linked_is_there() -> None:
    runbooks = Path(__file__).parents[2] / "alerts" / "runbooks"
    linked = {
        address.rsplit("/", 1)[1]
        for status in Status
        for outcome in (None, *Outcome)
        for address in of(status, outcome, troubles=tuple(Trouble)).values()
        if address.startswith("https://runbooks.example.com")
    }

    assert linked <= {path.name for path in runbooks.iterdir()}


def test_an_id_can_not_leave_its_place_in_an_address() -> None:
    assert page_of("prod", "../a?b#c/d") == "streams/prod/..%2Fa%3Fb%23c%2Fd"
