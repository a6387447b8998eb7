"""Writes `dashboards/json/`: `make dashboards`.

python -m dashboards.build [--check]
"""

import argparse
import sys
from pathlib import Path

from alerts import generated
from dashboards import fleet, pipeline, stream

FOLDER = Path(__file__).resolve().parent / "json"


def files() -> dict[str, str]:
    """Return each dashboard's JSON by the name of its file."""
    return {"fleet.json": fleet.build(), "stream.json": stream.build(), "pipeline.json": pipeline.build()}


def main() -> int:
    """Write the files, or with --check say which differ; return the exit code."""
    parser = argparse.ArgumentParser(description="Writes the dashboards.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a file differs")
    if parser.parse_args().check:
        return generated.check(files(), FOLDER, "make dashboards")
    generated.write(files(), FOLDER)
    return 0


if __name__ == "__main__":
    sys.exit(main())
