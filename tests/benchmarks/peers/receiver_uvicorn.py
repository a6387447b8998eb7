"""An ASGI receiver that answers a callback once Kafka has acknowledged it: one send for each request.

uvicorn receiver_uvicorn:app --loop uvloop --http httptools --no-access-log
"""

import json
import os
from collections.abc import Awaitable, Callable
from typing import Any

from aiokafka import AIOKafkaProducer

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

TOPIC = os.environ["TOPIC"]
HEADERS = [(b"content-type", b"application/json"), (b"content-length", b"2")]
kafka: dict[str, AIOKafkaProducer] = {}


async def app(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Answer one request, or start and stop with the server."""
    if scope["type"] == "lifespan":
        await _live(receive, send)
        return
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    job_id = json.loads(json.loads(body)["message"])["job_id"]
    await kafka["producer"].send_and_wait(TOPIC, body, key=job_id.encode())
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": b"{}"})


async def _live(receive: Receive, send: Send) -> None:
    await receive()
    kafka["producer"] = AIOKafkaProducer(
        bootstrap_servers=os.environ["KAFKA"], acks="all", enable_idempotence=True, linger_ms=2
    )
    await kafka["producer"].start()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await kafka["producer"].stop()
    await send({"type": "lifespan.shutdown.complete"})
