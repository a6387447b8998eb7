"""What a notice says, rendered by Alertmanager's own tool."""

import json
import subprocess
from pathlib import Path

from tests.components import amtool

TEMPLATES = Path(__file__).resolve().parent.parent.parent / "alerts" / "templates"

ASKED = " | ".join(f'{{{{ template "livestream.{name}" . }}}}' for name in ("title", "runbook", "dashboard"))


def rendered(folder: Path, *alerts: tuple[str, str]) -> str:
    """Return title, runbook and dashboard of a notice. alerts: each one's stream and status."""
    told = [
        {
            "status": status,
            "labels": {"alertname": "LivestreamDown", "source": "s", "job_id": stream},
            "annotations": {
                "summary": f"s/{stream} is down",
                "runbook_url": f"https://runbooks/{stream}",
                "dashboard_url": f"https://grafana/{stream}",
            },
            "startsAt": "2026-01-01T00:00:00Z",
            "endsAt": "2026-01-01T00:01:00Z",
        }
        for stream, status in alerts
    ]
    notice = {
        "status": "firing" if any(status == "firing" for _, status in alerts) else "resolved",
        "alerts": told,
        "commonLabels": {"alertname": "LivestreamDown", "source": "s"},
    }
    data = folder / "data.json"
    data.write_text(json.dumps(notice))
    command = [str(amtool()), "template", "render", f"--template.glob={TEMPLATES}/*.tmpl"]
    command += [f"--template.data={data}", f"--template.text={ASKED}"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def test_a_notice_of_one_alert_names_its_stream_and_leads_to_it(tmp_path: Path) -> None:
    named = "LivestreamDown at s: s/a is down | https://runbooks/a | https://grafana/a"
    assert rendered(tmp_path, ("a", "firing")) == named
    assert rendered(tmp_path, ("a", "resolved")) == f"Over: {named}"


def test_a_notice_of_several_counts_those_that_fire(tmp_path: Path) -> None:
    text = rendered(tmp_path, ("a", "firing"), ("b", "firing"), ("c", "resolved"))
    assert text == "2 × LivestreamDown at s | https://runbooks/a | https://grafana/a"


def test_a_notice_is_about_the_stream_that_is_down_and_not_about_one_that_came_back(tmp_path: Path) -> None:
    text = rendered(tmp_path, ("a", "resolved"), ("b", "firing"))
    assert text == "LivestreamDown at s: s/b is down | https://runbooks/b | https://grafana/b"
