"""Events folded a second: the service's worker on its log, and stream processors on Kafka."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from tests.benchmarks.broker import PARTITIONS, broker, fill_topic
from tests.benchmarks.profile import ProcessorSeconds, Profile
from tests.benchmarks.programs import ROOT, BenchmarkError, answer_of, ours, peer
from tests.benchmarks.results import Part, Target
from tests.benchmarks.scale import Scale

OURS = "ours: read, decode, fold, checkpoints"
ON_KAFKA = "ours on Kafka: group, fold, transactions"
QUIX = "Quix Streams"
FAUST = "Faust"
TOPIC = "events"

_TIMES_QUIX = 3.0
_TIMES_FAUST = 30.0
_HOLD_MS = 50.0
_RATE = "events/s"
_HELD = "event loop held ms"


def measure(scale: Scale, folder: Path, tell: Callable[[str], None]) -> Part:
    """Let each fold the same callbacks in turn; the slow ones fold fewer, which is enough for a rate."""
    part = Part("worker", f"Worker: {scale.events:,} callbacks of {scale.streams:,} streams")
    log = folder / "monitor.db"
    tell("worker: filling the log")
    answer_of(ours("fill_log", log, scale.events, scale.streams), ROOT)
    with broker(folder / "kafka") as kafka:
        tell("worker: filling the topic")
        fill_topic(kafka, TOPIC, folder, scale.events, scale.streams)
        for turn in range(scale.rounds):
            tell(f"worker {turn + 1}/{scale.rounds}: ours")
            _fold_ours(part, log, scale)
            tell(f"worker {turn + 1}/{scale.rounds}: ours on Kafka")
            _fold_on_kafka(part, kafka, scale)
            tell(f"worker {turn + 1}/{scale.rounds}: Quix Streams")
            turn_folder = folder / f"quix{turn}"
            turn_folder.mkdir()
            quix = peer("fold_quix.py", TOPIC, scale.quix_events)
            part.row(QUIX).note(_RATE, _rate(answer_of(quix, turn_folder, {"KAFKA": kafka})))
        tell("worker: Faust")
        faust = peer("fold_faust.py", "worker", "-l", "warn")
        environment = {
            "KAFKA": kafka,
            "TOPIC": TOPIC,
            "EVENTS": str(scale.faust_events),
            "PARTITIONS": str(PARTITIONS),
        }
        part.row(FAUST).note(_RATE, _rate(answer_of(faust, folder, environment)))
        tell("worker: aiokafka")
        drain = peer("drain_aiokafka.py", TOPIC, PARTITIONS, scale.events)
        part.row("aiokafka, nothing folded").note(_RATE, _rate(answer_of(drain, folder, {"KAFKA": kafka})))
        tell("worker: where the time goes")
        _explain(part, log, kafka, scale, folder)
    theirs = part.row(QUIX).median(_RATE)
    for row in part.rows:
        row.note("of Quix's rate", row.median(_RATE) / theirs)
    for program, name in ((OURS, "worker"), (ON_KAFKA, "worker on Kafka")):
        row = part.row(program)
        for peer_name, bound in ((QUIX, _TIMES_QUIX), (FAUST, _TIMES_FAUST)):
            times = row.median(_RATE) / part.row(peer_name).median(_RATE)
            part.targets.append(Target(f"{name}: times {peer_name}'s events/s", times, bound, at_least=True))
        hold = max(row.figures[_HELD])
        part.targets.append(Target(f"{name}: event loop held, ms, at worst", hold, _HOLD_MS, at_least=False))
    return part


def _rate(told: dict[str, float]) -> float:
    return told["events"] / told["seconds"]


def _fold_ours(part: Part, log: Path, scale: Scale) -> None:
    told = answer_of(ours("fold_log", log), ROOT)
    if told["counted"] != scale.events or told["streams"] != scale.streams:
        raise BenchmarkError(
            f"the worker folded {told['counted']:.0f} events of {told['streams']:.0f} streams"
        )
    row = part.row(OURS)
    row.note(_RATE, _rate(told))
    row.note("events/s, last checkpoint included", told["events"] / told["seconds_until_saved"])
    row.note(_HELD, told["hold"] * 1000)


def _fold_on_kafka(part: Part, kafka: str, scale: Scale) -> None:
    told = _run_on_kafka(kafka, scale.events, scale.streams)
    row = part.row(ON_KAFKA)
    row.note(_RATE, told["counted"] / (told["seconds"] - told["joining"]))
    row.note(_HELD, told["hold"] * 1000)


def _run_on_kafka(
    kafka: str, events: int, streams: int, watch: Callable[[int], AbstractContextManager[Any]] = nullcontext
) -> dict[str, float]:
    filled = answer_of(ours("fold_topic", "fill", kafka, PARTITIONS, events, streams), ROOT)
    command = ours("fold_topic", "run", kafka, PARTITIONS, events, filled["prefix"])
    told: dict[str, float] = answer_of(command, ROOT, watch=watch)
    if told["counted"] != events:
        raise BenchmarkError(f"the worker on Kafka folded {told['counted']:.0f} events")
    return told


def _explain(part: Part, log: Path, kafka: str, scale: Scale, folder: Path) -> None:
    """Say how many µs of an event each step takes, in runs of their own."""
    profile = Profile(folder)
    told = answer_of(ours("fold_log", log), ROOT, watch=profile.of)
    part.profiles[OURS] = profile.microseconds(_taken(told), told["events"])
    profile = Profile(folder)
    told = _run_on_kafka(kafka, scale.quix_events, scale.streams, profile.of)
    part.profiles[ON_KAFKA] = profile.microseconds(_taken(told), told["counted"])


def _taken(told: dict[str, float]) -> ProcessorSeconds:
    return ProcessorSeconds(told["loop_seconds"], told["processor_seconds"])
