"""How large a run is."""

from typing import NamedTuple


class Scale(NamedTuple):
    """The sizes of one run.

    events, streams: of the worker's log. load_seconds: of each load on a receiver; warm_up_seconds
    before it. broker_seconds: of load until Java has compiled the broker; before that every peer is slow.
    rounds: how often each receiver and each worker takes its turn. quix_events, faust_events: how many
    events the slower peers fold, since a rate needs no more. memory_streams: live in one process, one
    number after the other. restored_streams: whose states a worker gets at once.
    """

    factor: float
    events: int
    streams: int
    load_seconds: int
    warm_up_seconds: int
    broker_seconds: int
    rounds: int
    quix_events: int
    faust_events: int
    memory_streams: tuple[int, ...]
    restored_streams: int


def scaled(factor: float, rounds: int) -> Scale:
    """Return the sizes at a factor; at 1 they are those that the targets speak of."""
    streams = max(100, round(10_000 * factor))
    return Scale(
        factor=factor,
        events=50 * streams,
        streams=streams,
        load_seconds=max(2, round(8 * factor)),
        warm_up_seconds=max(1, round(3 * factor)),
        broker_seconds=max(2, round(25 * factor)),
        rounds=rounds,
        quix_events=10 * streams,
        faust_events=5 * streams,
        memory_streams=(streams, 5 * streams),
        restored_streams=10 * streams,
    )
