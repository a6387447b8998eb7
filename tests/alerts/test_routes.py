"""Who hears of what, asked of amtool."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from alerts.build import rules
from alerts.rule import Alert, Severity
from alerts.thresholds import read
from tests.components import amtool

CONFIG = Path(__file__).resolve().parent.parent.parent / "alerts" / "alertmanager.yaml"
ALERTS = [rule for rule in rules(read()) if isinstance(rule, Alert)]
RECEIVER = {Severity.CRITICAL: "pager", Severity.WARNING: "tickets", Severity.INFO: "shown"}


def test_amtool_finds_nothing_wrong_with_the_configuration() -> None:
    done = subprocess.run([str(amtool()), "check-config", str(CONFIG)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SUCCESS" in done.stdout
    assert " - 1 templates" in done.stdout


def routed(receivers: str, *labels: str, config: Path = CONFIG) -> None:
    command = [str(amtool()), "config", "routes", "test", f"--config.file={config}"]
    command += [f"--verify.receivers={receivers}", *labels]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: f"{alert.name}-{alert.severity}")
def test_each_alert_goes_where_its_severity_says(alert: Alert) -> None:
    receiver = "dead-mans-switch" if alert.name == "Watchdog" else RECEIVER[alert.severity]
    routed(receiver, f"alertname={alert.name}", f"severity={alert.severity}")


@pytest.mark.parametrize(
    ("receivers", "labels"),
    [
        ("slack,pager", ["severity=critical", "notify=slack"]),
        ("wecom,pager", ["severity=critical", "notify=wecom"]),
        ("mail,tickets", ["severity=warning", "notify=mail"]),
        ("webhook,pager", ["severity=critical", "notify=webhook"]),
        ("slack,wecom,mail,webhook,tickets", ["severity=warning", "notify=webhook,mail,wecom,slack"]),
        ("pager", ["severity=critical", "notify=slackers"]),
        ("shown", ["severity=info", "notify=slack"]),
        ("dead-mans-switch", ["alertname=Watchdog", "severity=info", "notify=slack"]),
        ("shown", ["alertname=NobodysAlert"]),
    ],
)
def test_who_else_is_named_hears_of_it_too(receivers: str, labels: list[str]) -> None:
    routed(receivers, *labels)


def test_below_another_route_ours_take_none_but_our_alerts(tmp_path: Path) -> None:
    told = re.search(r"`matchers: (\[.+\])`", (CONFIG.parent / "README.md").read_text())
    assert told
    merged = yaml.safe_load(CONFIG.read_text())
    ours = merged["route"] | {"matchers": yaml.safe_load(told[1])}
    merged["route"] = {"receiver": "somebody", "routes": [ours]}
    merged["receivers"].append({"name": "somebody"})
    config = tmp_path / "alertmanager.yaml"
    config.write_text(yaml.safe_dump(merged))

    routed("somebody", "alertname=HostDown", "severity=critical", "notify=slack", config=config)
    for alert in ALERTS:
        receiver = "dead-mans-switch" if alert.name == "Watchdog" else RECEIVER[alert.severity]
        routed(receiver, f"alertname={alert.name}", f"severity={alert.severity}", config=config)


def test_the_watchdog_of_other_rules_is_not_taken_for_ours() -> None:
    routed("shown", "alertname=Watchdog", "severity=none")


def test_the_dead_mans_switch_hears_of_the_watchdog_every_minute() -> None:
    config = yaml.safe_load(CONFIG.read_text())
    (route,) = (one for one in config["route"]["routes"] if one["receiver"] == "dead-mans-switch")
    looks, repeats = (int(route[name].removesuffix("s")) for name in ("group_interval", "repeat_interval"))
    # Alertmanager tells it again at the first look after that time. Where a look falls upon its end, chance
    # decides between this look and the next.
    assert repeats % looks != 0
    assert (repeats // looks + 1) * looks == 60


def test_every_secret_is_a_file() -> None:
    text = CONFIG.read_text()
    assert (
        re.findall(r"(?<!_)\b(?:routing_key|service_key|api_url|api_secret|auth_password|credentials):", text)
        == []
    )
    files = re.findall(r"_file: (\S+?)[}\s]", text)
    assert len(files) >= 6
    assert [path for path in files if not path.startswith("/etc/alertmanager/secrets/")] == []
