"""Keeps what is generated, and yet in the repository, as the code writes it."""

import sys
from collections.abc import Mapping
from pathlib import Path


def differences(files: Mapping[str, str], folder: Path) -> list[str]:
    """Return the names of files in `folder` that are missing, that nobody writes, or that differ.

    Args:
        files: each file's text by its name.
        folder: what it holds of other kinds, by their suffix, is left alone.
    """
    kinds = {Path(name).suffix for name in files}
    there = {path.name: path.read_text() for path in folder.glob("*") if path.suffix in kinds}
    return sorted(name for name in files.keys() | there.keys() if files.get(name) != there.get(name))


def write(files: Mapping[str, str], folder: Path) -> None:
    """Make the files in `folder` what the code says, and remove those that nobody writes any more."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in differences(files, folder):
        if name in files:
            (folder / name).write_text(files[name])
        else:
            (folder / name).unlink()


def check(files: Mapping[str, str], folder: Path, command: str) -> int:
    """Say on stderr which files in `folder` differ, and return the exit code.

    Args:
        files: each file's text by its name.
        folder: where they are.
        command: what writes them.
    """
    differing = differences(files, folder)
    for name in differing:
        sys.stderr.write(f"{folder / name} isn't what the code says: run '{command}'\n")
    return 1 if differing else 0
