from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from monitor.config import LinkSettings
from monitor.event import Vendor
from monitor.health.status import Status
from monitor.health.stream import Outcome
from monitor.web.addresses import Link, links, page_of

SETTINGS = LinkSettings(
    grafana_url="https://grafana.example.com/",
    alertmanager_url="https://alertmanager.example.com",
    runbook_url="https://runbooks.example.com/alerts",
)


def of(status: Status, outcome: Outcome | None = None, job_id: str = "job") -> dict[str, str]:
    found = links(SETTINGS, Vendor.METASTUDIO, "prod", job_id, status, outcome)
    return {link.title: link.address for link in found}


def test_nothing_is_linked_that_is_not_configured() -> None:
    found: list[Link] = links(LinkSettings(), Vendor.METASTUDIO, "prod", "job", Status.DOWN, None)
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
        (Status.DEGRADED, None, "LivestreamFlapping"),
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


def test_an_id_can_not_leave_its_place_in_an_address() -> None:
    assert page_of("prod", "../a?b#c/d") == "streams/prod/..%2Fa%3Fb%23c%2Fd"
