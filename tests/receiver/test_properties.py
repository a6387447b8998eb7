"""Whatever an authentic sender sends is answered 200 and kept."""

import asyncio
import json
from pathlib import Path
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from monitor.event import Vendor
from monitor.receiver.limits import Limits
from tests.receiver.running import OPEN, Running, link_callback, running, source

UNSIGNED = source("unsigned", vendor=Vendor.SOFTSUGAR)

# Lone surrogates too: JSON can escape them, and no UTF-8 can hold them.
texts = st.text(st.characters(exclude_categories=()))
documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner) | st.dictionaries(texts, inner),
    max_leaves=10,
)
names = ("job_id", "room_id", "state", "output_url", "sessionId", "status", "code", "data")
fields = st.fixed_dictionaries({}, optional=dict.fromkeys(names, documents))
event_types = st.sampled_from(["RTMP_STREAM_STATE_CHANGE", "SHOOT_SCRIPT_SWITCH", "REPLY_COMMAND_FINISH"]) | (
    documents
)
callbacks = st.fixed_dictionaries(
    {"event_type": event_types, "message": fields | fields.map(json.dumps) | documents}
)


def _spoiled(body: bytes, at: int, byte: int) -> bytes:
    place = at % len(body)
    return body[:place] + bytes([byte]) + body[place + 1 :]


spoiled_callbacks = st.builds(_spoiled, st.just(link_callback()), st.integers(0), st.integers(0, 255))
bodies = (
    st.binary()
    | (documents | callbacks | fields).map(lambda document: json.dumps(document).encode())
    | spoiled_callbacks
)


async def _post(receiver: Running, path: str, body: bytes) -> None:
    before = await receiver.kept()
    answer = await receiver.client.post(path, content=body)
    kept: list[Any] = [*await receiver.events(), *await receiver.dead_letters()]

    assert answer.status_code == 200
    assert len(kept) == before + 1
    assert body in [one.body for one in kept]


def test_any_bytes_to_a_source_without_keys_are_an_event_or_a_dead_letter(tmp_path: Path) -> None:
    with asyncio.Runner() as runner:
        context = running(tmp_path, OPEN, UNSIGNED, limits=Limits(65536))
        receiver = runner.run(_enter(context))

        @given(bodies)
        @example(b'{"event_type": "RTMP_STREAM_STATE_CHANGE", "message": {"job_id": "\\ud800"}}')
        @example(b'{"sessionId": "\\ud800"}')
        @example(b"[" * 60_000)
        @example(b'{"event_type":"X","message":' + b'{"a":' * 700 + b"1" + b"}" * 700 + b"}")
        @example(b'{"sessionId": "x", "status": 1e999}')
        def keeps(body: bytes) -> None:
            for path in ("/callbacks/open", "/callbacks/unsigned"):
                runner.run(_post(receiver, path, body))

        try:
            keeps()
        finally:
            runner.run(_leave(context))


async def _enter(context: Any) -> Running:
    receiver: Running = await context.__aenter__()
    return receiver


async def _leave(context: Any) -> None:
    await context.__aexit__(None, None, None)
