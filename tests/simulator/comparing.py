"""What the service says of a stream, as the numbers that the simulator's truth has."""

from dataclasses import asdict

from monitor.health import reading
from monitor.health.stream import StreamState
from monitor.simulator.truth import Expectation


def seen(state: StreamState) -> Expectation:
    """Return the numbers of a state that was settled."""
    told = reading.rtmp_state(state)
    return Expectation(
        reconnects=state.link.reconnects,
        outages=state.link.outages,
        rounds=state.script.rounds,
        coverage=reading.coverage(state.script),
        round_coverage=reading.finished_coverage(state.script),
        skipped=state.script.skipped,
        replies=state.replies.finished,
        missed=state.missed,
        rtmp_state=None if told is None else told.value,
        ended=None if state.end is None else state.end.outcome.value,
        warnings=sorted(state.warnings),
    )


def differences(state: StreamState, expected: Expectation) -> dict[str, str]:
    """Return each number that is decided and differs, in words."""
    said = asdict(seen(state))
    return {
        number: f"is {said[number]}, should be {right}"
        for number, right in asdict(expected).items()
        if number not in [*expected.undecided, "undecided"] and said[number] != right
    }
