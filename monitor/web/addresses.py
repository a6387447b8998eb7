"""Where the pages of one stream point to: its dashboard, a ready silence, the runbook of its trouble."""

from typing import NamedTuple
from urllib.parse import quote, urlencode

from monitor.config import LinkSettings
from monitor.event import Vendor
from monitor.health.status import Status
from monitor.health.stream import Outcome

_RUNBOOKS = {
    Status.DOWN: "LivestreamDown",
    Status.SILENT: "LivestreamSilent",
    Status.DEGRADED: "LivestreamFlapping",
    Status.STARTING: "LivestreamStuckConnecting",
}
"""The alert that most likely brought somebody here, by the stream's status."""


class Link(NamedTuple):
    """A link to another program."""

    title: str
    address: str


def page_of(source: str, job_id: str) -> str:
    """Return the address of a stream's page, relative to the page of all streams."""
    return f"streams/{quote(source, safe='')}/{quote(job_id, safe='')}"


def links(
    settings: LinkSettings,
    vendor: Vendor,
    source: str,
    job_id: str,
    status: Status,
    outcome: Outcome | None,
) -> list[Link]:
    """Return the links of one stream that the configuration makes possible."""
    found = []
    if settings.grafana_url:
        variables = {"var-vendor": vendor, "var-source": source, "var-stream": job_id}
        base = settings.grafana_url.rstrip("/")
        found.append(Link("Dashboard", f"{base}/d/livestream-stream?{urlencode(variables)}"))
    if settings.alertmanager_url:
        labels = {"vendor": vendor.value, "source": source, "job_id": job_id}
        matchers = ", ".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())
        base = settings.alertmanager_url.rstrip("/")
        silence = f"{base}/#/silences/new?filter={quote(f'{{{matchers}}}', safe='')}"
        found.append(Link("Silence this stream", silence))
    runbook = _runbook(status, outcome)
    if settings.runbook_url and runbook is not None:
        found.append(Link(f"Runbook {runbook}", f"{settings.runbook_url.rstrip('/')}/{runbook}.md"))
    return found


def _runbook(status: Status, outcome: Outcome | None) -> str | None:
    if outcome is not None:
        return None if outcome is Outcome.COMPLETED else "LivestreamEndedAbnormally"
    return _RUNBOOKS.get(status)


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')
