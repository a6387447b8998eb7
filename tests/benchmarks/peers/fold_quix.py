"""Folds a topic with Quix Streams, its state kept in RocksDB and a changelog topic.

python fold_quix.py TOPIC EVENTS, in a folder of its own
"""

import json
import os
import sys
import time
import uuid
from typing import Any

from quixstreams import Application, State

TOPIC, EVENTS = sys.argv[1], int(sys.argv[2])


class Progress:
    """How many events have been folded since when."""

    began = 0.0
    events = 0


def fold(callback: dict[str, Any], kept: State) -> None:
    """Take one callback into its stream's state, and end the program after the last."""
    if Progress.events == 0:
        Progress.began = time.perf_counter()
    stream = kept.get("stream") or {"push": None, "reconnects": 0, "played": []}
    message = json.loads(callback["message"])
    if callback["event_type"] == "RTMP_STREAM_STATE_CHANGE":
        if message["state"] == "RECONNECTING" != stream["push"]:
            stream["reconnects"] += 1
        stream["push"] = message["state"]
    else:
        paragraph = f"{message['scene_script_name']}/{message['shoot_script_sequence_no']}"
        if paragraph not in stream["played"]:
            stream["played"].append(paragraph)
    kept.set("stream", stream)
    Progress.events += 1
    if Progress.events == EVENTS:
        seconds = time.perf_counter() - Progress.began
        print(json.dumps({"events": EVENTS, "seconds": seconds}), flush=True)
        os._exit(0)


application = Application(
    broker_address=os.environ["KAFKA"],
    consumer_group=f"quix-{uuid.uuid4().hex}",
    auto_offset_reset="earliest",
    use_changelog_topics=True,
    commit_interval=2.0,
    state_dir="quix-state",
    loglevel="WARNING",
)
topic = application.topic(TOPIC, key_deserializer="str", value_deserializer="json")
application.dataframe(topic).update(fold, stateful=True)
application.run()
