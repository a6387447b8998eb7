"""What the benchmarks feed to everybody: the same callbacks to the service and to its peers."""

import json
from collections.abc import Iterator
from typing import NamedTuple

SECONDS_A_STEP = 20
"""How far apart two callbacks of one stream are."""

PARAGRAPHS = 12

_STATES = ("CONNECTING", "CONNECTED", "DISCONNECTED", "RECONNECTING", "CONNECTED")


class Callback(NamedTuple):
    """One MetaStudio callback. at: seconds since the first one."""

    job_id: str
    type: str
    at: float
    body: bytes


def job_id(number: int) -> str:
    """Return the id of a stream, which looks like what the vendor gives."""
    return f"{(number + 1) * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128:032x}"


def callbacks(events: int, streams: int) -> Iterator[Callback]:
    """Yield callbacks of all streams in turn: a third tells of the push, the others of the script."""
    for number in range(events):
        step, stream = divmod(number, streams)
        at = (step + stream / streams) * SECONDS_A_STEP
        yield Callback(job_id(stream), *_told(job_id(stream), step, at))


def _told(job: str, step: int, at: float) -> tuple[str, float, bytes]:
    pushes, rest = divmod(step, 3)
    message = {"room_id": f"{job[::-1]}", "job_id": job}
    if rest == 0:
        kind = "RTMP_STREAM_STATE_CHANGE"
        message |= {
            "output_url": "rtmp://push.example.com/live/a",
            "stream_key": "k",
            "state": _STATES[pushes % len(_STATES)],
        }
    else:
        kind = "SHOOT_SCRIPT_SWITCH"
        paragraph = (2 * pushes + rest - 1) % PARAGRAPHS + 1
        message |= {
            "scene_script_name": "Product 1",
            "shoot_script_sequence_no": str(paragraph),
            "shoot_script_title": "Paragraph",
        }
    return kind, at, json.dumps({"event_type": kind, "message": json.dumps(message)}).encode()
