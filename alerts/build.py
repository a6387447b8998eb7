"""Writes `alerts/rules/` from `alerts/thresholds.toml`: `make alerts`.

python -m alerts.build [--check] [--thresholds F] [--output D]
"""

import argparse
import sys
from pathlib import Path

from alerts import generated, ingest, pipeline, sources, streams
from alerts.rule import Alert, Group, Links, Record, write
from alerts.thresholds import FILE, Thresholds, read

RULES = FILE.parent / "rules"


def rule_files(thresholds: Thresholds) -> dict[str, str]:
    """Return each rule file's text by its name."""
    links = Links(thresholds.links.grafana_url, thresholds.links.runbook_url)
    return {name: write(group, links) for name, group in _groups(thresholds).items()}


def rules(thresholds: Thresholds) -> list[Record | Alert]:
    """Return all rules, in the order of the files."""
    return [rule for group in _groups(thresholds).values() for rule in group.rules]


def _groups(thresholds: Thresholds) -> dict[str, Group]:
    return {
        "streams.yaml": streams.group(thresholds),
        "sources.yaml": sources.group(thresholds),
        "ingest.yaml": ingest.group(thresholds),
        "pipeline.yaml": pipeline.group(thresholds),
    }


def main() -> int:
    """Write the files, or with --check say which differ; return the exit code."""
    parser = argparse.ArgumentParser(description="Writes the alerting rules.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a file differs")
    parser.add_argument("--thresholds", type=Path, default=FILE, metavar="F", help="where the numbers are")
    parser.add_argument("--output", type=Path, default=RULES, metavar="D", help="where the rules go")
    arguments = parser.parse_args()
    files = rule_files(read(arguments.thresholds))
    if arguments.check:
        return generated.check(files, arguments.output, "make alerts")
    generated.write(files, arguments.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
