"""Callbacks a second, until each is durable: the service, and receivers in front of Kafka."""

import contextlib
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from itertools import count
from pathlib import Path
from typing import NamedTuple

import httpx

from tests.benchmarks.broker import PARTITIONS, broker, make_topic
from tests.benchmarks.load import load, signatures
from tests.benchmarks.profile import Profile
from tests.benchmarks.programs import PEERS, PEERS_PYTHON, ROOT, BenchmarkError, running, wait_for
from tests.benchmarks.results import Part, Row, Target
from tests.benchmarks.scale import Scale
from tests.end_to_end.running import MONITOR
from tests.ports import free_port

OURS = "ours: signed, synced, folded"
ON_KAFKA = "ours on Kafka: signed, acks=all"
GO = "Go net/http, franz-go"

_SHARE_OF_GO = 0.3
_SHARE_OF_GO_ON_KAFKA = 0.6
_TIMES_GO_P99 = 3.0
_PUBLIC_URL = "https://hooks.example.com/callbacks/bench"
_KEY = "Aa0benchmark0key0of0no0secret0Aa"
_FOLDING_LIMIT_SECONDS = 300

Server = AbstractContextManager[str]
"""While it is open a receiver runs, and its URL is there."""


class Serving(NamedTuple):
    """Our service, as it runs: the URL of its source, the port that faces operators, and its process id."""

    url: str
    admin: int
    process: int


def measure(scale: Scale, folder: Path, tell: Callable[[str], None]) -> Part:
    """Load each receiver in turn, as often as there are rounds."""
    part = Part("receiver", f"Receiver: callbacks of {scale.streams:,} streams over 64 connections")
    tell("receiver: building the Go receiver")
    go = _build_go()
    numbers = count()
    with broker(folder / "kafka") as kafka:
        make_topic(kafka, "received", folder)
        tell("receiver: warming the broker up")
        with _go(go, kafka, folder) as url:
            load(url, folder, seconds=scale.broker_seconds, streams=scale.streams)
        for turn in range(scale.rounds):
            tell(f"receiver {turn + 1}/{scale.rounds}: ours")
            _measure_ours(part, scale, folder / f"ours{next(numbers)}")
            tell(f"receiver {turn + 1}/{scale.rounds}: ours on Kafka")
            _measure_on_kafka(part, scale, folder / f"kafka{next(numbers)}", kafka)
            for program, server in (
                (GO, _go(go, kafka, folder)),
                ("uvicorn, aiokafka, one send a request", _uvicorn(kafka, folder)),
                ("granian, aiokafka, batches", _granian(kafka, folder)),
            ):
                tell(f"receiver {turn + 1}/{scale.rounds}: {program}")
                _measure_peer(part, program, server, scale, folder)
        tell("receiver: where the time goes")
        _explain(part, OURS, _serving(folder / "explained"), scale, folder)
        _explain(part, ON_KAFKA, _serving_on_kafka(folder / "kafka-explained", kafka), scale, folder)
    ours, theirs = part.row(OURS), part.row(GO)
    for row in part.rows:
        row.note("of Go's rate", row.median("requests/s") / theirs.median("requests/s"))
    share = ours.median("of Go's rate")
    part.targets.append(Target("receiver: share of Go's requests/s", share, _SHARE_OF_GO, at_least=True))
    on_kafka = part.row(ON_KAFKA)
    share = on_kafka.median("of Go's rate")
    part.targets.append(
        Target("receiver on Kafka: share of Go's requests/s", share, _SHARE_OF_GO_ON_KAFKA, at_least=True)
    )
    times = on_kafka.median("p99 ms") / theirs.median("p99 ms")
    part.targets.append(Target("receiver on Kafka: times Go's p99", times, _TIMES_GO_P99, at_least=False))
    part.remarks.append(
        "Ours verifies signatures, and on the embedded log waits for the disk; brokers sync later."
    )
    return part


def _note(part: Part, program: str, seen: dict[str, float]) -> None:
    row = part.row(program)
    row.note("requests/s", seen["requests"] / seen["seconds"])
    row.note("p50 ms", seen["p50_ms"])
    row.note("p99 ms", seen["p99_ms"])


def _measure_peer(part: Part, program: str, server: Server, scale: Scale, folder: Path) -> None:
    with server as url:
        load(url, folder, seconds=scale.warm_up_seconds, streams=scale.streams)
        _note(part, program, load(url, folder, seconds=scale.load_seconds, streams=scale.streams))


def _measure_ours(part: Part, scale: Scale, folder: Path) -> None:
    with _serving(folder) as service:
        row = _measure_signed(part, OURS, service.url, folder, scale)
        ended = time.monotonic()
        row.note("events unfolded at the end", _lag(service.admin))
        wait_for(
            lambda: _lag(service.admin) == 0, seconds=_FOLDING_LIMIT_SECONDS, what="the worker to catch up"
        )
        row.note("s until folded", time.monotonic() - ended)


def _measure_on_kafka(part: Part, scale: Scale, folder: Path, kafka: str) -> None:
    with _serving_on_kafka(folder, kafka) as service:
        _measure_signed(part, ON_KAFKA, service.url, folder, scale)


def _explain(
    part: Part, program: str, serving: AbstractContextManager[Serving], scale: Scale, folder: Path
) -> None:
    """Say how many µs of a request each step takes, in a turn of its own."""
    profile = Profile(folder)
    with serving as service:
        _load_signed(service.url, folder, scale.warm_up_seconds, scale.streams)
        with profile.of(service.process):
            seen = _load_signed(service.url, folder, scale.load_seconds, scale.streams)
    part.profiles[program] = profile.microseconds(profile.taken, seen["requests"])


def _serving_on_kafka(folder: Path, kafka: str) -> AbstractContextManager[Serving]:
    log = (
        f'backend = "kafka"\n[kafka]\nbootstrap_servers = "{kafka}"\ntopic_prefix = "{folder.name}."\n'
        f"partitions = {PARTITIONS}\nreplication_factor = 1\n"
    )
    return _serving(folder, log, "receiver")


@contextlib.contextmanager
def _serving(folder: Path, log: str = "", role: str = "all") -> Iterator[Serving]:
    """Run the service, on its embedded log unless told otherwise."""
    folder.mkdir()
    receiver, admin = free_port(), free_port()
    configuration = folder / "monitor.toml"
    configuration.write_text(
        f'[log]\npath = "{folder}/monitor.db"\n{log}'
        f'[receiver]\nlisten = "127.0.0.1:{receiver}"\n[admin]\nlisten = "127.0.0.1:{admin}"\n'
        f'[[sources]]\nname = "bench"\nvendor = "metastudio"\npublic_url = "{_PUBLIC_URL}"\n'
        f'auth_type = "MSS_A_HEAD"\nkeys = ["{_KEY}"]\n'
    )
    command = [*MONITOR, "serve", "--config", str(configuration), "--role", role]
    with running(command, folder, port=receiver) as process:
        yield Serving(f"http://127.0.0.1:{receiver}/callbacks/bench", admin, process.pid)


def _measure_signed(part: Part, program: str, url: str, folder: Path, scale: Scale) -> Row:
    _load_signed(url, folder, scale.warm_up_seconds, scale.streams)
    _note(part, program, _load_signed(url, folder, scale.load_seconds, scale.streams))
    return part.row(program)


def _load_signed(url: str, folder: Path, seconds: int, streams: int) -> dict[str, float]:
    signed = signatures(_PUBLIC_URL, _KEY, int(time.time()), seconds + 5)
    return load(url, folder, seconds=seconds, streams=streams, signed=signed)


def _lag(admin: int) -> float:
    page = httpx.get(f"http://127.0.0.1:{admin}/metrics", timeout=60, trust_env=False).text
    found = re.search(r'^monitor_log_lag_events\{partition="0"\} (\S+)$', page, re.MULTILINE)
    if found is None:
        raise BenchmarkError("the service's page has no monitor_log_lag_events")
    return float(found[1])


def _build_go() -> Path:
    """Build the Go receiver; the compiler keeps what it made, so that a second build is quick."""
    built = ROOT / "var" / "bench" / "go_receiver"
    done = subprocess.run(
        [PEERS_PYTHON.with_name("go"), "build", "-buildvcs=false", "-o", built, "."],
        cwd=PEERS / "go_receiver",
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BenchmarkError(f"the Go receiver can't be built:\n{done.stderr[-2000:]}")
    return built


@contextlib.contextmanager
def _go(built: Path, kafka: str, folder: Path) -> Iterator[str]:
    port = free_port()
    listen = f"127.0.0.1:{port}"
    with running([str(built)], folder, port=port, KAFKA=kafka, TOPIC="received", LISTEN=listen):
        yield f"http://{listen}/callbacks/bench"


@contextlib.contextmanager
def _uvicorn(kafka: str, folder: Path) -> Iterator[str]:
    port = free_port()
    command = [str(PEERS_PYTHON), "-m", "uvicorn", "receiver_uvicorn:app", "--app-dir", str(PEERS)]
    command += ["--port", str(port), "--loop", "uvloop", "--http", "httptools", "--no-access-log"]
    with running(command, folder, port=port, KAFKA=kafka, TOPIC="received"):
        yield f"http://127.0.0.1:{port}/callbacks/bench"


@contextlib.contextmanager
def _granian(kafka: str, folder: Path) -> Iterator[str]:
    port = free_port()
    command = [str(PEERS_PYTHON), "-m", "granian", "receiver_granian:app", "--working-dir", str(PEERS)]
    command += ["--port", str(port), "--interface", "rsgi", "--loop", "uvloop", "--no-access-log"]
    with running(command, folder, port=port, KAFKA=kafka, TOPIC="received", PARTITIONS=str(PARTITIONS)):
        yield f"http://127.0.0.1:{port}/callbacks/bench"
