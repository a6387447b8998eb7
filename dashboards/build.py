"""Writes `dashboards/json/`: `make dashboards`.

python -m dashboards.build [--check]
"""

import argparse
import sys
from pathlib import Path

from dashboards import fleet, pipeline, stream

FOLDER = Path(__file__).resolve().parent / "json"


def files() -> dict[str, str]:
    """Return each dashboard's JSON by the name of its file."""
    return {"fleet.json": fleet.build(), "stream.json": stream.build(), "pipeline.json": pipeline.build()}


def differences(written: dict[str, str], folder: Path) -> list[str]:
    """Return the names of files in `folder` that are missing, that nobody writes, or that differ."""
    there = {path.name: path.read_text() for path in folder.glob("*.json")}
    return sorted(name for name in written.keys() | there.keys() if written.get(name) != there.get(name))


def main() -> int:
    """Write the files, or with --check say which differ; return the exit code."""
    parser = argparse.ArgumentParser(description="Writes the dashboards.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a file differs")
    written = files()
    found = differences(written, FOLDER)
    if parser.parse_args().check:
        for name in found:
            sys.stderr.write(f"dashboards/json/{name} isn't what the code says: run 'make dashboards'\n")
        return 1 if found else 0
    for name in found:
        if name in written:
            (FOLDER / name).write_text(written[name])
        else:
            (FOLDER / name).unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
