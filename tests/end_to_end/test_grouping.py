"""What is one page, asked of a real Alertmanager with the project's configuration."""

from pathlib import Path

import pytest

from tests.end_to_end.observing import Alertmanager
from tests.end_to_end.paging import Pager, routes
from tests.end_to_end.running import http, wait_for

# In turn with the other files that have a line of servers.
pytestmark = pytest.mark.xdist_group("operators")

REFUSED = {"alertname": "MonitorCallbacksRefused", "severity": "critical"}
DOWN = {"alertname": "LivestreamDown", "severity": "critical", "vendor": "v", "job_id": "j"}


@pytest.mark.parametrize(
    ("alert", "told_apart_by", "pages"),
    [
        (REFUSED, "source", 1),
        (DOWN, "source", 2),
        (REFUSED | {"source": "s"}, "installation", 2),
        (DOWN | {"source": "s"}, "installation", 2),
    ],
    ids=["refused", "down", "refused in two installations", "down in two installations"],
)
def test_what_all_sources_of_an_installation_suffer_from_one_process_is_one_page(
    alert: dict[str, str], told_apart_by: str, pages: int, tmp_path: Path
) -> None:
    pager = Pager()
    one = Alertmanager(tmp_path, routes(pager, tmp_path))
    one.start()
    try:
        body = [
            {"labels": alert | {told_apart_by: name}, "annotations": {"summary": f"it is {name}"}}
            for name in ("the-first", "the-second")
        ]
        http.post(f"{one.url}/api/v2/alerts", json=body).raise_for_status()

        def told() -> str:
            return str([notice.body for notice in pager.notices])

        wait_for(
            lambda: all(f"it is {name}" in told() for name in ("the-first", "the-second")),
            what="both",
        )
        assert len({notice.body["dedup_key"] for notice in pager.notices}) == pages
    finally:
        one.stop()
        pager.close()
