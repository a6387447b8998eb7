"""One Kafka broker for the peers, in a folder of its own, and the topic that they fold."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryFile

from tests.benchmarks.programs import ROOT, BenchmarkError, answer_of, peer, running
from tests.benchmarks.workload import callbacks
from tests.ports import free_port

PARTITIONS = 4


@contextlib.contextmanager
def broker(folder: Path) -> Iterator[str]:
    """Run a broker while the context is open; yield its address."""
    script = ROOT / "deploy" / "kafka" / "kafka"
    folder.mkdir()
    port, controller = free_port(), free_port()
    with running([str(script), "run", str(folder), str(port), str(controller)], folder, port=port):
        yield f"127.0.0.1:{port}"


def make_topic(address: str, topic: str, folder: Path) -> None:
    """Make an empty topic."""
    _produce(address, topic, folder, subprocess.DEVNULL)


def fill_topic(address: str, topic: str, folder: Path, events: int, streams: int) -> None:
    """Make a topic of the benchmark's callbacks, keyed by stream."""
    with TemporaryFile(dir=folder) as lines:
        for callback in callbacks(events, streams):
            lines.write(callback.job_id.encode() + b"\t" + callback.body + b"\n")
        lines.flush()
        lines.seek(0, os.SEEK_SET)
        produced = _produce(address, topic, folder, lines.fileno())
    if produced != events:
        raise BenchmarkError(f"{produced} of {events} callbacks came into topic {topic}")


def _produce(address: str, topic: str, folder: Path, lines: int) -> int:
    command = peer("fill_topic.py", topic, PARTITIONS)
    told: dict[str, int] = answer_of(command, folder, {"KAFKA": address}, standard_input=lines)
    return told["events"]
