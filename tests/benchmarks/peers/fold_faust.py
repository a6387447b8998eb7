"""Folds a topic with Faust, its state kept in a table in memory and a changelog topic.

TOPIC=… EVENTS=… PARTITIONS=… python fold_faust.py worker -l warn, in a folder of its own
"""

import json
import os
import time
import uuid
from collections.abc import AsyncIterator
from typing import Any

import faust

EVENTS = int(os.environ["EVENTS"])
PARTITIONS = int(os.environ["PARTITIONS"])

app = faust.App(
    f"faust-{uuid.uuid4().hex}",
    broker=f"kafka://{os.environ['KAFKA']}",
    store="memory://",
    value_serializer="json",
    topic_partitions=PARTITIONS,
    web_enabled=False,
    consumer_auto_offset_reset="earliest",
)
topic = app.topic(os.environ["TOPIC"], key_type=str, key_serializer="raw", value_type=None)
streams = app.Table("streams", default=dict, partitions=PARTITIONS)


async def fold(callbacks: Any) -> None:
    """Take each callback into its stream's state, and end the program after the last."""
    events, began = 0, 0.0
    items: AsyncIterator[tuple[str, dict[str, Any]]] = callbacks.items()
    async for job_id, callback in items:
        if events == 0:
            began = time.perf_counter()
        stream = dict(streams[job_id]) or {"push": None, "reconnects": 0, "played": []}
        message = json.loads(callback["message"])
        if callback["event_type"] == "RTMP_STREAM_STATE_CHANGE":
            if message["state"] == "RECONNECTING" != stream["push"]:
                stream["reconnects"] += 1
            stream["push"] = message["state"]
        else:
            paragraph = f"{message['scene_script_name']}/{message['shoot_script_sequence_no']}"
            if paragraph not in stream["played"]:
                stream["played"].append(paragraph)
        streams[job_id] = stream
        events += 1
        if events == EVENTS:
            seconds = time.perf_counter() - began
            # Past sys.stdout, which Faust has turned into a logger.
            os.write(1, json.dumps({"events": EVENTS, "seconds": seconds}).encode() + b"\n")
            os._exit(0)


app.agent(topic)(fold)

if __name__ == "__main__":
    app.main()
