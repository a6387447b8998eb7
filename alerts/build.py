"""Writes `alerts/rules/` from `alerts/thresholds.toml`: `make alerts`.

python -m alerts.build [--check] [--thresholds F] [--output D]
"""

import argparse
import sys
from pathlib import Path

from alerts import service, sources, streams
from alerts.rule import Alert, Links, Record, write
from alerts.thresholds import FILE, Thresholds, read

RULES = FILE.parent / "rules"


def rule_files(thresholds: Thresholds) -> dict[str, str]:
    """Return each rule file's text by its name."""
    links = Links(thresholds.links.grafana_url, thresholds.links.runbook_url)
    groups = {
        "streams.yaml": streams.group(thresholds),
        "sources.yaml": sources.group(thresholds),
        "ingest.yaml": service.ingest(thresholds),
        "pipeline.yaml": service.pipeline(thresholds),
    }
    return {name: write(group, links) for name, group in groups.items()}


def rules(thresholds: Thresholds) -> list[Record | Alert]:
    """Return all rules, in the order of the files."""
    groups = (
        streams.group(thresholds),
        sources.group(thresholds),
        service.ingest(thresholds),
        service.pipeline(thresholds),
    )
    return [rule for group in groups for rule in group.rules]


def differences(files: dict[str, str], folder: Path) -> list[str]:
    """Return the names of files in `folder` that are missing, that nobody writes, or that differ."""
    there = {path.name: path.read_text() for path in folder.glob("*.yaml")}
    return sorted(name for name in files.keys() | there.keys() if files.get(name) != there.get(name))


def main() -> int:
    """Write the files, or with --check say which differ; return the exit code."""
    parser = argparse.ArgumentParser(description="Writes the alerting rules.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a file differs")
    parser.add_argument("--thresholds", type=Path, default=FILE, metavar="F", help="where the numbers are")
    parser.add_argument("--output", type=Path, default=RULES, metavar="D", help="where the rules go")
    arguments = parser.parse_args()
    files = rule_files(read(arguments.thresholds))
    differing = differences(files, arguments.output)
    if arguments.check:
        for name in differing:
            sys.stderr.write(f"{arguments.output / name} is not what make alerts writes: run it\n")
        return 1 if differing else 0
    arguments.output.mkdir(parents=True, exist_ok=True)
    for name in differing:
        if name in files:
            (arguments.output / name).write_text(files[name])
        else:
            (arguments.output / name).unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
