"""What the figures were measured on."""

import os
import platform
import re
import sqlite3
import subprocess
from pathlib import Path
from typing import Any

from monitor import __version__
from tests.benchmarks.programs import PEERS_PYTHON, ROOT

_PEERS = ("quixstreams", "faust-streaming", "aiokafka", "uvicorn", "granian")


def described() -> dict[str, Any]:
    """Return the machine, the versions, and which state of the code this is."""
    memory = re.search(r"^MemTotal: +(\d+) kB$", Path("/proc/meminfo").read_text(), re.MULTILINE)
    model = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return {
        "machine": {
            "processor": model[1] if model else platform.machine(),
            "cores": len(os.sched_getaffinity(0)),
            "memory_mb": int(memory[1]) // 1024 if memory else None,
            "kernel": platform.release(),
            "load_before": os.getloadavg()[0],
        },
        "versions": {
            "monitor": __version__,
            "commit": _commit(),
            "python": platform.python_version(),
            "sqlite": sqlite3.sqlite_version,
            **_peers(),
        },
    }


def _commit() -> str | None:
    """Return the commit, with a `+` where files have changed since; None outside a clone."""
    told = subprocess.run(
        ["git", "describe", "--always", "--dirty=+"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return told.stdout.strip() or None


def _peers() -> dict[str, str]:
    program = f"from importlib.metadata import version\nfor name in {_PEERS}: print(name, version(name))"
    told = subprocess.run([PEERS_PYTHON, "-c", program], capture_output=True, text=True, check=False)
    return dict(line.split() for line in told.stdout.splitlines())
