"""Streams with a past, made by folding what vendors and users would have sent about them."""

import json
from collections.abc import Iterator
from typing import NamedTuple

from monitor.event import Channel, Event, EventId, Stored
from monitor.vendors import registry
from monitor.worker.shard import Shard
from tests.benchmarks.ours.service import SOURCE
from tests.benchmarks.workload import PARAGRAPHS, SECONDS_A_STEP, job_id

_JOB = "0123456789abcdef0123456789abcdef"
_ROOM = "fedcba9876543210fedcba9876543210"
"""What stands in a template where a stream's own ids will."""

_KINDS = 40
"""How many lives differ; each is led by many streams, at different times and under different ids."""


class _Message(NamedTuple):
    channel: Channel
    type: str
    template: bytes


def fold_lives(shard: Shard, numbers: range, now: float) -> Iterator[int]:
    """Fold the lives of these streams into a shard, all streams at once; yield the events so far.

    Args:
        shard: where they live.
        numbers: of the streams; each is another stream.
        now: when the last event was received, Unix seconds.
    """
    lives = [list(_life(kind)) for kind in range(_KINDS)]
    steps = max(map(len, lives))
    offset = shard.position
    for step in range(steps):
        for place, number in enumerate(numbers):
            # All lives end at the same time: a shorter one began later.
            life = lives[number % _KINDS]
            index = step - (steps - len(life))
            if index < 0:
                continue
            offset += 1
            received = now - (steps - step - place / len(numbers)) * SECONDS_A_STEP
            _fold(shard, life[index], number, offset, received)
        yield offset


def _fold(shard: Shard, message: _Message, number: int, offset: int, received: float) -> None:
    job = job_id(number)
    body = message.template.replace(_JOB.encode(), job.encode()).replace(_ROOM.encode(), job[::-1].encode())
    if message.channel is Channel.API:
        body = registry.reduce_registration(SOURCE.vendor, body)[1]
    signed = int(received) if message.channel is Channel.CALLBACK else None
    event = Event(
        EventId("receiver", 1, offset),
        SOURCE.vendor,
        SOURCE.name,
        job,
        message.channel,
        message.type,
        received,
        signed,
        body,
    )
    shard.fold(Stored(0, offset, event), registry.decode(event, SOURCE))


def _life(kind: int) -> Iterator[_Message]:
    """Tell a life: registered, connected, two rounds and a part of the third, with what went wrong."""
    yield _registration(kind)
    yield _push("CONNECTING")
    yield _push("CONNECTED")
    paragraphs = 2 * PARAGRAPHS + kind % PARAGRAPHS
    for played in range(paragraphs):
        # Some rounds leave a paragraph out.
        if kind % 3 == 0 and played == 5:
            continue
        yield _switch(played % PARAGRAPHS)
        if kind % 2 == 0:
            yield _progress(played % PARAGRAPHS, played)
        if played % 10 == 7:
            yield _reply(f"reply-{kind}-{played}")
        if played % 9 == 4 and kind % 4 != 0:
            yield from map(_push, ("DISCONNECTED", "RECONNECTING", "CONNECTED"))
    if kind == 7:
        yield _push("DISCONNECTED")
    elif kind == 11:
        yield _push("END")


def _registration(kind: int) -> _Message:
    start = {
        "request": {
            "room_id": _ROOM,
            "view_mode": "LANDSCAPE",
            "play_policy": {
                "play_mode": "TEXT",
                "random_play_mode": "NONE",
                "repeat_count": -1 if kind % 2 else 20,
                "auto_play_script": True,
                "live_exit_config": {"max_live_duration": 24},
            },
            "live_event_callback_config": {
                "callback_event_type": [
                    "RTMP_STREAM_STATE_CHANGE",
                    "SHOOT_SCRIPT_SWITCH",
                    "REPLY_COMMAND_FINISH",
                ]
            },
        },
        "response": {
            "job_id": _JOB,
            "rtc_room_info": {"room_id": f"rtc-{_ROOM}"},
            "live_warning_info": [{"warning_type": "TOO_SHORT_SCRIPT_TIME"}] if kind % 5 == 0 else [],
        },
        "script": [
            {"scene": _scene(index), "sequence_no": _sequence_no(index), "title": "Paragraph"}
            for index in range(PARAGRAPHS)
        ],
    }
    return _Message(Channel.API, "job_registered", json.dumps(start).encode())


def _push(state: str) -> _Message:
    address = f"rtmp://push.example.com/live/{_JOB}"
    return _callback("RTMP_STREAM_STATE_CHANGE", {"output_url": address, "stream_key": _ROOM, "state": state})


def _switch(index: int) -> _Message:
    return _callback(
        "SHOOT_SCRIPT_SWITCH",
        {"scene_script_name": _scene(index), "shoot_script_sequence_no": str(_sequence_no(index))},
    )


def _reply(reply_id: str) -> _Message:
    return _callback("REPLY_COMMAND_FINISH", {"reply_id": reply_id})


def _callback(event_type: str, said: dict[str, str]) -> _Message:
    message = json.dumps({"room_id": _ROOM, "job_id": _JOB, **said})
    body = json.dumps({"event_type": event_type, "message": message})
    return _Message(Channel.CALLBACK, event_type, body.encode())


def _progress(index: int, sequence: int) -> _Message:
    data = {
        "script_name": _scene(index),
        "shoot_script_sequence_no": _sequence_no(index),
        "offset": "1000",
    }
    told = {
        "relay": "page",
        "seq": sequence,
        "message": {"message_type": "live_progress_notify", "data": data},
    }
    return _Message(Channel.RTC, "live_progress_notify", json.dumps(told).encode())


def _scene(index: int) -> str:
    return f"Product {index // 4 + 1}"


def _sequence_no(index: int) -> int:
    return index % 4 + 1
