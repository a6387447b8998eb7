import os

import pytest

from monitor.errors import LogUnavailableError
from monitor.event import EventId
from monitor.log.protocol import MOST_STATE_BYTES, Checkpoint, EventLog
from tests.contract.conftest import Backend, ClosableCheckpoints
from tests.log.making import event


async def test_without_a_checkpoint_the_position_is_before_the_first_event(
    backend: Backend, checkpoints: ClosableCheckpoints
) -> None:
    assert Checkpoint(backend.start, []) == await checkpoints.load()


async def test_what_was_saved_is_loaded(checkpoints: ClosableCheckpoints) -> None:
    await checkpoints.save(7, [("a", "1", b"one"), ("a", "x/2", b"\x00\xff"), ("b", "1", b"")])

    loaded = await checkpoints.load()

    assert loaded.position == 7
    assert sorted(loaded.states) == [("a", "1", b"one"), ("a", "x/2", b"\x00\xff"), ("b", "1", b"")]


async def test_only_what_changed_is_replaced_or_removed(checkpoints: ClosableCheckpoints) -> None:
    await checkpoints.save(1, [("a", "1", b"one"), ("a", "2", b"two"), ("b", "1", b"three")])

    await checkpoints.save(2, [("a", "1", b"newer"), ("a", "2", None), ("never", "there", None)])

    loaded = await checkpoints.load()
    assert loaded.position == 2
    assert sorted(loaded.states) == [("a", "1", b"newer"), ("b", "1", b"three")]


async def test_a_position_may_move_without_states(checkpoints: ClosableCheckpoints) -> None:
    await checkpoints.save(1, [("a", "1", b"one")])

    await checkpoints.save(9, [])

    assert Checkpoint(9, [("a", "1", b"one")]) == await checkpoints.load()


async def test_thousands_of_large_states_come_back(checkpoints: ClosableCheckpoints) -> None:
    states = [("source", f"{number:05}", b"%d" % number * 300) for number in range(2345)]

    await checkpoints.save(1, states)
    await checkpoints.save(2, [(source, job_id, None) for source, job_id, _ in states[::2]])

    assert states[1::2] == sorted((await checkpoints.load()).states)


async def test_the_largest_state_that_a_stream_may_have_comes_back_beside_others(
    checkpoints: ClosableCheckpoints,
) -> None:
    rows = [("a", "1", b"small"), ("a" * 64, "2" * 256, os.urandom(MOST_STATE_BYTES)), ("b", "3", b"small")]

    await checkpoints.save(1, rows)

    assert sorted((await checkpoints.load()).states) == rows


async def test_a_checkpoint_is_there_after_reopening(backend: Backend) -> None:
    log = await backend.open()
    await log.append([event(EventId("receiver", 1, number)) for number in range(3)])
    first = await backend.open_checkpoints(log)
    await first.save(2, [("a", "1", b"one")])
    await first.close()
    await log.close()

    log = await backend.open()
    second = await backend.open_checkpoints(log)

    assert Checkpoint(2, [("a", "1", b"one")]) == await second.load()
    await second.close()
    await log.close()


async def test_closed_checkpoints_say_so(backend: Backend, log: EventLog) -> None:
    checkpoints = await backend.open_checkpoints(log)
    await checkpoints.close()
    await checkpoints.close()

    with pytest.raises(LogUnavailableError):
        await checkpoints.save(1, [])
