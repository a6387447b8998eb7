"""What a notice says, rendered by Alertmanager's own tool."""

import json
import subprocess
from pathlib import Path

import yaml

from tests.components import amtool

TEMPLATES = Path(__file__).resolve().parent.parent.parent / "alerts" / "templates"

ASKED = " | ".join(f'{{{{ template "livestream.{name}" . }}}}' for name in ("title", "runbook", "dashboard"))


def rendered(folder: Path, *alerts: tuple[str, str], asked: str = ASKED, **common: str) -> str:
    """Return title, runbook and dashboard of a notice, or what else is asked.

    Args:
        folder: for the notice.
        alerts: each one's stream and status.
        asked: a template.
        common: further labels that all have.
    """
    told = [
        {
            "status": status,
            "labels": {"alertname": "LivestreamDown", "source": "s", "job_id": stream} | common,
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
        "commonLabels": {"alertname": "LivestreamDown", "source": "s"} | common,
    }
    data = folder / "data.json"
    data.write_text(json.dumps(notice))
    command = [str(amtool()), "template", "render", f"--template.glob={TEMPLATES}/*.tmpl"]
    command += [f"--template.data={data}", f"--template.text={asked}"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def test_a_notice_of_one_alert_names_its_stream_and_leads_to_it(tmp_path: Path) -> None:
    named = "LivestreamDown at s: s/a is down | https://runbooks/a | https://grafana/a"
    assert rendered(tmp_path, ("a", "firing")) == named
    assert rendered(tmp_path, ("a", "resolved")) == f"Over: {named}"


def test_a_notice_names_the_installation_where_there_are_several(tmp_path: Path) -> None:
    text = rendered(tmp_path, ("a", "firing"), installation="staging")
    assert text.startswith("LivestreamDown at s of staging: s/a is down | ")


def test_a_notice_of_several_counts_those_that_fire(tmp_path: Path) -> None:
    text = rendered(tmp_path, ("a", "firing"), ("b", "firing"), ("c", "resolved"))
    assert text == "2 × LivestreamDown at s | https://runbooks/a | https://grafana/a"


def test_a_notice_is_about_the_stream_that_is_down_and_not_about_one_that_came_back(tmp_path: Path) -> None:
    text = rendered(tmp_path, ("a", "resolved"), ("b", "firing"))
    assert text == "LivestreamDown at s: s/b is down | https://runbooks/b | https://grafana/b"


def test_what_slack_is_told_of_hundreds_is_short_and_says_how_many_there_are(tmp_path: Path) -> None:
    config = yaml.safe_load((TEMPLATES.parent / "alertmanager.yaml").read_text())
    (slack,) = (one for one in config["receivers"] if one["name"] == "slack")
    told = slack["slack_configs"][0]["text"]
    few = [("a", "firing"), ("b", "resolved")]
    assert rendered(tmp_path, *few, asked=told) == rendered(
        tmp_path, *few, asked='{{ template "livestream.text" . }}'
    )

    hundreds = [*((f"over-{number}", "resolved") for number in range(300)), *[("a", "firing")] * 400]
    text = rendered(tmp_path, *hundreds, asked=told)
    assert text.startswith("s/a is down\n")
    assert text.endswith("Not all are named here: 400 fire, 300 are over.")
    assert (text.count("Since "), text.count("Over: ")) == (8, 8)
