"""Loads replayed series into a real Prometheus, and asks it what every alert would have done."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from alerts.build import rule_files, rules
from alerts.rule import Alert, Record, span
from alerts.thresholds import Thresholds
from tests.components import promtool
from tests.end_to_end.observing import Prometheus

JOB = 'job="livestream-monitor",instance="replayed"'


def load(prometheus: Prometheus, series: Path, moments: list[float], thresholds: Thresholds) -> None:
    """Make blocks of a file that `monitor replay` wrote, start Prometheus on them, and record.

    What a replay can't know is added: that the service was scraped, and had recovered, all along.
    """
    with series.open("rb+") as file:
        file.seek(-len(b"# EOF\n"), 2)
        file.write(_service(moments).encode())
    # A file has no mark where a series ends, as a scrape would leave one: what isn't there at a moment
    # must not be looked up before it. Not shorter than a step: promtool evaluates each file at its own
    # moment within the interval, as Prometheus does.
    step = round(moments[1] - moments[0])
    prometheus.more = (f"--query.lookback-delta={step}s",)
    prometheus.folder.mkdir()
    _promtool("create-blocks-from", "openmetrics", str(series), str(prometheus.data))
    prometheus.start()
    for number, names in enumerate(_levels(thresholds)):
        # One level builds on the blocks of the one before it, which Prometheus finds when it starts.
        part = prometheus.folder / f"recordings-{number}.yaml"
        part.write_text(_only(names, thresholds))
        _promtool(
            *("create-blocks-from", "rules", f"--start={moments[0]:.0f}", f"--end={moments[-1]:.0f}"),
            *(f"--url={prometheus.url}", f"--output-dir={prometheus.data}"),
            *(f"--eval-interval={span(step)}", str(part)),
        )
        prometheus.stop()
        prometheus.start()


def fired(prometheus: Prometheus, alert: Alert, moments: list[float]) -> list[dict[str, str]]:
    """Return the labels of everything for which the alert fired at one of the moments."""
    step = moments[1] - moments[0]
    found = prometheus.query(alert.expression, start=moments[0], end=moments[-1], step=step)
    return [one["metric"] for one in found if _holds([float(at) for at, _ in one["values"]], step, alert)]


def _holds(times: list[float], step: float, alert: Alert) -> bool:
    """Whether the expression held for as long as the alert waits, without a gap."""
    since = before = times[0]
    for at in times:
        since = since if at - before <= step else at
        if at - since >= alert.seconds:
            return True
        before = at
    return False


def _service(moments: list[float]) -> str:
    lines = []
    for name, value in (("up", 1.0), ("monitor_recovering", 0.0)):
        lines.append(f"# TYPE {name} gauge\n")
        lines += [f"{name}{{{JOB}}} {value} {at:.3f}\n" for at in moments]
    lines.append("# TYPE monitor_checkpoint_timestamp_seconds gauge\n")
    lines += [f"monitor_checkpoint_timestamp_seconds{{{JOB}}} {at} {at:.3f}\n" for at in moments]
    return "".join(lines) + "# EOF\n"


def _levels(thresholds: Thresholds) -> Iterator[set[str]]:
    """Yield the names of the recordings, those first that need no other.

    One that reads what it recorded before finds nothing of that here.
    """
    left = {rule.name: rule.expression for rule in rules(thresholds) if isinstance(rule, Record)}
    while left:
        ready = {
            name for name, text in left.items() if not any(other in text for other in left if other != name)
        }
        assert ready, left
        yield ready
        left = {name: text for name, text in left.items() if name not in ready}


def _only(names: set[str], thresholds: Thresholds) -> str:
    """Return a rule file of these recordings, cut out of the files as they are written."""
    parts = []
    for text in rule_files(thresholds).values():
        for rule in re.split(r"(?m)^(?=      - )", text)[1:]:
            head = re.match(r" +- record: (\S+)", rule)
            if head is not None and head[1] in names:
                parts.append(rule)
    assert len(parts) == len(names)
    return "groups:\n  - name: recordings\n    rules:\n" + "".join(parts)


def _promtool(*arguments: str) -> None:
    done = subprocess.run([str(promtool()), "tsdb", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
