"""Where a program's processor time goes: py-spy looks every few milliseconds at what its event loop does.

Other threads are counted whole: what looks busy there often waits for Python's global lock.
"""

import contextlib
import os
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.benchmarks.programs import PEERS_PYTHON, BenchmarkError

RATE = 250
"""Looks a second."""

ELSEWHERE = "event loop, sockets"
"""The step of what is in none of the places below: the loop's own work, and the system's for it."""

OTHER_THREADS = "other threads: files, syncs"

_STEPS = (
    ("to_json (monitor/health/", "checkpoints"),
    ("checkpoint", "checkpoints"),
    ("aiokafka/producer/", "Kafka, sending"),
    ("aiokafka/consumer/", "Kafka, reading"),
    ("aiokafka/", "Kafka, requests"),
    ("monitor/log/kafka_reading.py", "reading"),
    ("monitor/log/kafka_consumer.py", "reading"),
    ("from_headers (monitor/log/", "reading"),
    ("monitor/log/", "writing"),
    ("/signature.py", "signatures"),
    ("monitor/vendors/", "decoding"),
    ("monitor/health/", "folding"),
    ("monitor/worker/", "worker's loop"),
    ("prometheus_client/", "metrics"),
    ("monitor/metrics/", "metrics"),
    ("monitor/receiver/", "receiver"),
    ("monitor/http_server/", "HTTP server"),
)
"""Part of a frame's text → the step that it is of. Of a stack the innermost frame that is named here counts;
within a frame, the first line."""

_EVENT_LOOP = "Runner.run (asyncio/runners.py)"
"""The frame under which all is that comes after a program's imports."""

_STOP_SECONDS = 30.0


class ProcessorSeconds(NamedTuple):
    """What a process has taken of a processor: its first thread, that of the event loop, and all threads."""

    loop: float
    whole: float


class Profile:
    """What was seen of one process.

    Args:
        folder: where py-spy may write.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._shares: dict[str, float] = {}
        self.taken = ProcessorSeconds(0.0, 0.0)
        """What the process took while it was watched; 0 if it ended by itself."""

    @contextlib.contextmanager
    def of(self, process: int) -> Iterator[None]:
        """Watch a process while the context is open, or until it ends.

        Raises:
            BenchmarkError: py-spy may not look; it says what it needs.
        """
        stacks = self._folder / f"{process}.stacks"
        command = [str(PEERS_PYTHON.with_name("py-spy")), "record", "--pid", str(process), "--nolineno"]
        command += ["--rate", str(RATE), "--format", "raw", "--output", str(stacks)]
        watching = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        before = _taken(process)
        try:
            yield
        finally:
            after = _taken(process)
            watching.send_signal(signal.SIGINT)
            told, _ = watching.communicate(timeout=_STOP_SECONDS)
        if not stacks.exists():
            raise BenchmarkError(f"py-spy saw nothing of process {process}:\n{told.decode()[-1000:]}")
        self._shares = _shares(stacks.read_text())
        if after.whole:
            self.taken = ProcessorSeconds(after.loop - before.loop, after.whole - before.whole)

    def microseconds(self, taken: ProcessorSeconds, events: float) -> dict[str, float]:
        """Return what each step took of an event, the longest first, behind `in all`.

        Args:
            taken: for all events.
            events: how many.
        """
        loop, whole = (seconds / events * 1e6 for seconds in taken)
        steps = {step: share * loop for step, share in self._shares.items()}
        steps[OTHER_THREADS] = whole - loop
        return {"in all": whole, **dict(sorted(steps.items(), key=lambda step: -step[1]))}


def _taken(process: int) -> ProcessorSeconds:
    folder = Path(f"/proc/{process}")
    return ProcessorSeconds(_seconds(folder / "task" / str(process) / "stat"), _seconds(folder / "stat"))


def _seconds(stat: Path) -> float:
    try:
        told = stat.read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    # utime and stime, the 14th and 15th fields; the first two are before the bracket.
    return (int(told[11]) + int(told[12])) / os.sysconf("SC_CLK_TCK")


def _shares(stacks: str) -> dict[str, float]:
    """Read py-spy's raw format: a line for each stack, outermost frame first, and how often it was seen."""
    seen: Counter[str] = Counter()
    for line in stacks.splitlines():
        stack, _, times = line.rpartition(" ")
        frames = stack.split(";")
        if _EVENT_LOOP in frames:
            seen[_step_of(frames)] += int(times)
    whole = seen.total()
    return {step: times / whole for step, times in seen.items()}


def _step_of(frames: list[str]) -> str:
    for frame in reversed(frames):
        for place, step in _STEPS:
            if place in frame:
                return step
    return ELSEWHERE
