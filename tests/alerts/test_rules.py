"""The rule files are what the thresholds say, and do what their tests say."""

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from alerts.build import RULES, rule_files, rules
from alerts.generated import differences
from alerts.rule import Alert, span
from alerts.thresholds import FILE, read
from monitor.config import HealthSettings, Source
from tests.components import promtool

STORIES = sorted((RULES.parent / "tests").glob("*.yaml"))
LONGEST = 300


def test_the_files_are_what_the_thresholds_say() -> None:
    assert differences(rule_files(read()), RULES) == []


def test_a_file_that_differs_is_missing_or_belongs_to_nobody_is_named(tmp_path: Path) -> None:
    (tmp_path / "same.yaml").write_text("a")
    (tmp_path / "other.yaml").write_text("b")
    (tmp_path / "nobodys.yaml").write_text("c")
    files = {"same.yaml": "a", "other.yaml": "x", "missing.yaml": "d"}
    assert differences(files, tmp_path) == ["missing.yaml", "nobodys.yaml", "other.yaml"]


def test_a_threshold_is_changed_in_one_place() -> None:
    usual = read()
    changed = usual.model_copy(update={"streams": usual.streams.model_copy(update={"coverage_ratio": 0.37})})
    before, after = rule_files(usual), rule_files(changed)
    assert [name for name in before if before[name] != after[name]] == ["streams.yaml"]
    assert "< 0.37" in after["streams.yaml"]


def build(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "alerts.build", *arguments]
    return subprocess.run(command, cwd=RULES.parent.parent, capture_output=True, text=True)


def test_the_command_writes_where_it_is_told_what_it_is_told_and_checks_that(tmp_path: Path) -> None:
    thresholds, folder = tmp_path / "thresholds.toml", tmp_path / "rules"
    thresholds.write_text(FILE.read_text().replace("coverage_ratio = 0.8", "coverage_ratio = 0.37"))
    own = ("--thresholds", str(thresholds), "--output", str(folder))

    missing = build("--check", *own)
    assert missing.returncode == 1
    assert missing.stderr.count("run 'make alerts'") == 4
    assert not folder.exists()

    assert build(*own).returncode == 0
    assert differences(rule_files(read(thresholds)), folder) == []
    assert build("--check", *own).returncode == 0
    assert "streams.yaml" in build("--check", "--output", str(folder)).stderr


def test_a_threshold_that_hangs_on_another_number_goes_with_it() -> None:
    thresholds = read()
    # A bad end is exported for so long; whatever replaced it meanwhile must not be forgotten before.
    assert thresholds.streams.replaced_seconds >= HealthSettings().keep_abnormal_seconds
    # Once an incident holds nothing back any more, what it cost must not page.
    assert thresholds.objective.still_seconds <= thresholds.incident.keep_firing_seconds
    # Streams that nobody sees are held for so long; then their pages would close.
    assert thresholds.pipeline.recovering_seconds < thresholds.view.hold_seconds
    assert thresholds.pipeline.down_for_seconds < thresholds.view.hold_seconds
    # A ticket before callbacks are refused.
    refused_beyond = Source.model_fields["max_clock_skew_seconds"].default
    assert thresholds.ingest.clock_skew_seconds < refused_beyond


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("share = 0.3", "share = 1.5"),
        ("lag_seconds", "lag_secs"),
        ("fewest_streams = 5", "fewest_streams = 0"),
        ('job = "livestream-monitor"', 'job = "staging|prod"'),
    ],
)
def test_an_impossible_threshold_is_refused(tmp_path: Path, right: str, wrong: str) -> None:
    changed = tmp_path / "thresholds.toml"
    changed.write_text(FILE.read_text().replace(right, wrong, 1))
    with pytest.raises(ValidationError):
        read(changed)


@pytest.mark.parametrize(
    ("seconds", "written"), [(90, "90s"), (300, "5m"), (3600, "1h"), (259200, "3d"), (0, "0s")]
)
def test_a_length_of_time_is_written_in_its_largest_whole_unit(seconds: int, written: str) -> None:
    assert span(seconds) == written


def test_promtool_finds_nothing_wrong_with_the_rules() -> None:
    files = [str(path) for path in RULES.glob("*.yaml")]
    done = subprocess.run([str(promtool()), "check", "rules", *files], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("story", STORIES, ids=lambda path: path.stem)
def test_the_rules_do_what_their_story_says(story: Path) -> None:
    done = subprocess.run([str(promtool()), "test", "rules", str(story)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_file_is_longer_than_a_reader_stands() -> None:
    written = [*RULES.glob("*.yaml"), *STORIES, *RULES.parent.glob("*.py"), *RULES.parent.glob("*.yaml")]
    assert len(written) > 15
    assert [path.name for path in written if len(path.read_text().splitlines()) > LONGEST] == []


def test_the_prometheus_that_we_ship_reads_the_rules() -> None:
    config = RULES.parent.parent / "deploy" / "prometheus" / "prometheus.yaml"
    done = subprocess.run([str(promtool()), "check", "config", str(config)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 rule files found" in done.stdout
    assert f"job_name: {read().view.job}\n" in config.read_text()


def test_what_is_said_of_an_objective_compares_like_with_like() -> None:
    burns = [rule for rule in rules(read()) if isinstance(rule, Alert) and "Availability" in rule.name]
    assert len(burns) == 4
    for burn in burns:
        assert "humanizePercentage }} of their running time; the objective allows 1%." in burn.description
    assert [burn.summary.split("error budget ")[1] for burn in burns] == [
        "14.4 times as fast as allowed",
        "6 times as fast as allowed",
        "3 times as fast as allowed",
        "faster than allowed",
    ]
