"""Runs `appending.py` and kills it with -9 in the middle of its work."""

import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def acknowledged_before_a_kill(mode: str, path: Path, acks: int, *arguments: str) -> list[str]:
    """Return what the process told, to the last whole line, when it is killed after that many lines."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.log.appending", mode, str(path), *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        told = b"".join(process.stdout.readline() for _ in range(acks))
        process.send_signal(signal.SIGKILL)
        told += process.stdout.read()
    assert process.returncode == -signal.SIGKILL
    return told.decode().split("\n")[:-1]
