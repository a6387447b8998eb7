"""Compares what a simulation says really happened with a page of metrics: each stream, each number."""

import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text


class StreamKey(NamedTuple):
    """A stream's labels."""

    vendor: str
    source: str
    job_id: str


_SCRIPT_NUMBERS = ("rounds", "coverage", "round_coverage", "skipped")

_SETTLED_LATER = (": skipped is ", ": missed is ")

Samples = dict[str, list[tuple[dict[str, str], float]]]
"""One stream's samples: by name, the labels beside the stream's own and the value."""


def differences(truth: dict[str, Any], page: str) -> list[str]:
    """Return one sentence for each number that differs, and for each stream that only one side has.

    Numbers that the truth calls undecided, and streams with unacknowledged facts, can't be compared;
    `uncomparable` names them.

    Args:
        truth: what `monitor simulate --truth` wrote.
        page: `/metrics`, in the text format or OpenMetrics.
    """
    streams = _streams(page)
    found: list[str] = []
    played = set()
    for stream in truth["streams"]:
        key = StreamKey(stream["vendor"], stream["source"], stream["job_id"])
        played.add(key)
        if stream["unacknowledged"]:
            continue
        samples = streams.get(key)
        if samples is None:
            found.append(f"{_name(key)}: was played and has no series")
            continue
        for number, read in _NUMBERS.items():
            expected, seen = stream[number], read(samples)
            if number not in stream["undecided"] and expected != seen:
                found.append(f"{_name(key)}: {number} is {seen}, should be {expected}")
    found += [f"{_name(key)}: has series and was never played" for key in streams if key not in played]
    return found


SETTLING_SPEED = 10.0
"""For a service that has only to let time pass: what a round left out counts up to 65 s after its end. The
series of a stream that has ended go after 900."""


def wait_until_true(
    truth: dict[str, Any], page: Callable[[], str], *, seconds: float, settled: bool = True
) -> None:
    """Return once nothing differs any more.

    Args:
        truth: as of `differences`.
        page: returns the metrics as they are now.
        seconds: how long it may take.
        settled: whether that holds for numbers too which become right only a while after all was told.

    Raises:
        AssertionError: something still differed then; it says what did last.
    """
    limit = time.monotonic() + seconds
    unsettled = () if settled else _SETTLED_LATER
    while found := [one for one in differences(truth, page()) if not any(name in one for name in unsettled)]:
        assert time.monotonic() < limit, "\n".join([f"after {seconds:g} s still:", *found[:20]])
        # Reading a page takes as long as serving many: more often would keep the machine busy.
        time.sleep(3.0)


def uncomparable(truth: dict[str, Any]) -> list[str]:
    """Return one sentence for each number or stream of which the facts leave open what is right."""
    found = []
    for stream in truth["streams"]:
        name = _name(StreamKey(stream["vendor"], stream["source"], stream["job_id"]))
        if stream["unacknowledged"]:
            found.append(f"{name}: nobody knows if these arrived: {', '.join(stream['unacknowledged'])}")
        found += [f"{name}: {number} is undecided" for number in stream["undecided"]]
    return found


def unexpected(truth: dict[str, Any]) -> list[str]:
    """Return what `uncomparable` does, but for what a kill may rightly leave open.

    A callback that a kill held up for just the ten seconds after which it counts as missed may be either.
    One without a signed time whose connection broke may be stored twice, and then begin a round.
    """
    open_to_kills = tuple(f": {name} is undecided" for name in ("missed", *_SCRIPT_NUMBERS))
    return [line for line in uncomparable(truth) if not line.endswith(open_to_kills)]


def _name(key: StreamKey) -> str:
    return "/".join(key)


def _streams(page: str) -> dict[StreamKey, Samples]:
    parse = parse_openmetrics if page.rstrip().endswith("# EOF") else parse_text
    streams: dict[StreamKey, Samples] = {}
    for family in parse(page):
        if not family.name.startswith("livestream_"):
            continue
        for sample in family.samples:
            labels = dict(sample.labels)
            key = StreamKey(labels.pop("vendor"), labels.pop("source"), labels.pop("job_id"))
            samples = streams.setdefault(key, {})
            samples.setdefault(sample.name, []).append((labels, float(sample.value)))
    return streams


def _counter(name: str) -> Callable[[Samples], float]:
    """Read a counter; one that doesn't exist for a stream has counted nothing."""

    def read(samples: Samples) -> float:
        return sum(value for _, value in samples.get(name, ()))

    return read


def _gauge(name: str) -> Callable[[Samples], float | None]:
    def read(samples: Samples) -> float | None:
        values = [value for _, value in samples.get(name, ())]
        assert len(values) <= 1, f"{name} has {len(values)} samples for one stream"
        return values[0] if values else None

    return read


def _rtmp_state(samples: Samples) -> str | None:
    return _only(labels["state"] for labels, value in samples.get("livestream_rtmp_state", ()) if value == 1)


def _outcome(samples: Samples) -> str | None:
    return _only(labels["outcome"] for labels, _ in samples.get("livestream_end_timestamp_seconds", ()))


def _warnings(samples: Samples) -> list[str]:
    told = samples.get("livestream_live_warning", ())
    return sorted(labels["warning_type"] for labels, value in told if value == 1)


def _only(found: Iterable[str]) -> str | None:
    """Return the one that was found; several are shown together, and so differ from any one."""
    return " and ".join(found) or None


_NUMBERS: dict[str, Callable[[Samples], Any]] = {
    "reconnects": _counter("livestream_reconnects_total"),
    "outages": _counter("livestream_outages_total"),
    "rounds": _counter("livestream_script_rounds_total"),
    "skipped": _counter("livestream_script_paragraphs_skipped_total"),
    "coverage": _gauge("livestream_script_coverage_ratio"),
    "round_coverage": _gauge("livestream_script_round_coverage_ratio"),
    "replies": _counter("livestream_replies_finished_total"),
    "missed": _counter("livestream_callbacks_missed_total"),
    "rtmp_state": _rtmp_state,
    "ended": _outcome,
    "warnings": _warnings,
}
