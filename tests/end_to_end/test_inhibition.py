"""Which alert silences which, asked of a real Alertmanager with the project's configuration."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from tests.end_to_end.observing import Alertmanager
from tests.end_to_end.paging import Pager, routes
from tests.end_to_end.running import http, wait_for

# One line of servers for all of the file; in turn with the other file that has such a line.
pytestmark = pytest.mark.xdist_group("operators")

STREAM = {"vendor": "v", "source": "s", "job_id": "j"}
OTHER_STREAM = STREAM | {"job_id": "other"}
SOURCE = {"vendor": "v", "source": "s"}
OTHER_SOURCE = {"vendor": "v", "source": "other"}

DOWN = {"alertname": "LivestreamDown", "severity": "critical"}
ENDED = {"alertname": "LivestreamEndedAbnormally", "severity": "critical", "outcome": "cut_off"}
SILENT = {"alertname": "LivestreamSilent", "severity": "critical"}
STALLED = {"alertname": "LivestreamScriptStalled", "severity": "warning"}
WARNING = {"alertname": "LivestreamLiveWarning", "severity": "info"}
INCIDENT = {"alertname": "LivestreamVendorIncident", "severity": "critical"} | SOURCE
QUOTA = {"alertname": "LivestreamQuotaExhausted", "severity": "critical"} | SOURCE
FAST = {"alertname": "LivestreamAvailabilityBurnFast", "severity": "critical", "window": "1h"} | SOURCE
SLOW = {"alertname": "LivestreamAvailabilityBurnSlow", "severity": "warning", "window": "3d"} | SOURCE
MONITOR_DOWN = {"alertname": "MonitorDown", "severity": "critical", "scope": "all"}
ONE_DOWN = {"alertname": "MonitorDown", "severity": "warning", "scope": "instance", "instance": "a"}
NO_RECEIVER = {"alertname": "MonitorDown", "severity": "critical", "scope": "receivers"}
RECOVERING = {
    "alertname": "MonitorRecoveringTooLong",
    "severity": "critical",
    "scope": "all",
    "instance": "a",
}
ONE_RECOVERING = RECOVERING | {"scope": "instance"}
LAGGING = {"alertname": "MonitorLagging", "severity": "critical", "instance": "a"}
OLD_PAGES = LAGGING | {"severity": "warning"}
REFUSED = {"alertname": "MonitorCallbacksRefused", "severity": "critical", "source": "s", "instance": "a"}
NO_CALLBACKS = {"alertname": "MonitorNoCallbacks", "severity": "critical"} | SOURCE

STAGING, PROD = {"installation": "staging"}, {"installation": "prod"}

# Flink, for one, has a label `job_id` too.
NOT_OURS = {"alertname": "FlinkJobSlow", "severity": "warning", "job_id": "j"}
NOT_OURS_EITHER = {"alertname": "FlinkJobFailed", "severity": "critical", "job_id": "j"}

CONTROL = STREAM | {"source": "control"}
"""A pair of its own, that is posted last: once one silences the other, all before it has been looked at."""

SILENCES = [
    (INCIDENT, DOWN | STREAM),
    (INCIDENT, ENDED | STREAM),
    (INCIDENT, STALLED | STREAM),
    (INCIDENT, FAST),
    (INCIDENT, SLOW),
    (MONITOR_DOWN, DOWN | STREAM),
    (MONITOR_DOWN, ENDED | STREAM),
    (MONITOR_DOWN, RECOVERING),
    (RECOVERING, SILENT | STREAM),
    (NO_RECEIVER, SILENT | STREAM),
    (NO_RECEIVER, NO_CALLBACKS),
    (LAGGING, SILENT | STREAM),
    (LAGGING, STALLED | STREAM),
    (LAGGING, NO_CALLBACKS),
    (REFUSED, SILENT | STREAM),
    (REFUSED, NO_CALLBACKS),
    (NO_CALLBACKS, SILENT | STREAM),
    (DOWN | STREAM, STALLED | STREAM),
    (DOWN | STREAM, WARNING | STREAM),
    (FAST, SLOW),
    (MONITOR_DOWN | PROD, DOWN | STREAM | PROD),
    (INCIDENT | PROD, DOWN | STREAM | PROD),
]

LEAVES_ALONE = [
    (INCIDENT, DOWN | STREAM | OTHER_SOURCE),
    (INCIDENT, QUOTA),
    (INCIDENT, MONITOR_DOWN),
    (ONE_DOWN, DOWN | STREAM),
    (NO_RECEIVER, DOWN | STREAM),
    (ONE_RECOVERING, DOWN | STREAM),
    (MONITOR_DOWN, INCIDENT),
    (MONITOR_DOWN, ONE_RECOVERING),
    (LAGGING, DOWN | STREAM),
    (OLD_PAGES, SILENT | STREAM),
    (OLD_PAGES, NO_CALLBACKS),
    (REFUSED, SILENT | STREAM | OTHER_SOURCE),
    (REFUSED, DOWN | STREAM),
    (NO_CALLBACKS, SILENT | STREAM | OTHER_SOURCE),
    (NO_CALLBACKS, DOWN | STREAM),
    (DOWN | STREAM, STALLED | OTHER_STREAM),
    (STALLED | STREAM, WARNING | STREAM),
    (ENDED | STREAM, DOWN | STREAM),
    (DOWN | STREAM, ENDED | STREAM),
    (QUOTA, SLOW),
    (MONITOR_DOWN | STAGING, DOWN | STREAM | PROD),
    (MONITOR_DOWN | STAGING, RECOVERING | PROD),
    (RECOVERING | STAGING, DOWN | STREAM | PROD),
    (LAGGING | STAGING, SILENT | STREAM | PROD),
    (NO_RECEIVER | STAGING, NO_CALLBACKS | PROD),
    (REFUSED | STAGING, NO_CALLBACKS | PROD),
    (NO_CALLBACKS | STAGING, SILENT | STREAM | PROD),
    (INCIDENT | STAGING, DOWN | STREAM | PROD),
    (INCIDENT | STAGING, FAST | PROD),
    (DOWN | STREAM | STAGING, STALLED | STREAM | PROD),
    (FAST | STAGING, SLOW | PROD),
    (MONITOR_DOWN, NOT_OURS),
    (RECOVERING, NOT_OURS),
    (NOT_OURS_EITHER, NOT_OURS),
]


@pytest.fixture(scope="module")
def alertmanager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alertmanager]:
    folder, pager = tmp_path_factory.mktemp("inhibition"), Pager()
    one = Alertmanager(folder, routes(pager, folder))
    one.start()
    yield one
    one.stop()
    pager.close()


def _name(labels: dict[str, str]) -> str:
    return f"{labels['alertname']}-{labels.get('scope', labels.get('job_id', labels.get('source', '')))}"


@pytest.mark.parametrize(
    ("speaker", "other", "silenced"),
    [
        *((speaker, other, True) for speaker, other in SILENCES),
        *((speaker, other, False) for speaker, other in LEAVES_ALONE),
    ],
    ids=lambda value: _name(value) if isinstance(value, dict) else str(value),
)
def test_an_alert_silences_what_it_speaks_for_and_nothing_else(
    alertmanager: Alertmanager, speaker: dict[str, str], other: dict[str, str], silenced: bool
) -> None:
    pairs = [speaker, other], [DOWN | CONTROL, WARNING | CONTROL]
    try:
        for pair in pairs:
            _post(alertmanager, pair, over=False)
        wait_for(lambda: _state(alertmanager, WARNING | CONTROL) == "suppressed", what="the control")
        assert _state(alertmanager, other) == ("suppressed" if silenced else "active")
        assert _state(alertmanager, speaker) == "active"
    finally:
        for pair in pairs:
            _post(alertmanager, pair, over=True)
        wait_for(lambda: not alertmanager.alerts(), what="the end of all")


def _post(alertmanager: Alertmanager, alerts: list[dict[str, str]], *, over: bool) -> None:
    # An end before the beginning is refused, so that it has to lie ahead, if only just.
    at = datetime.fromtimestamp(time.time() + (0.1 if over else 3600), UTC).isoformat()
    body = [{"labels": labels, "endsAt": at} for labels in alerts]
    http.post(f"{alertmanager.url}/api/v2/alerts", json=body).raise_for_status()


def _state(alertmanager: Alertmanager, labels: dict[str, str]) -> str | None:
    for alert in alertmanager.alerts():
        # Until it was looked at for the first time its state isn't known.
        if alert["labels"] == labels and alert["status"]["state"] != "unprocessed":
            return str(alert["status"]["state"])
    return None
