"""What befalls a client while Kafka goes away is a log that is unavailable, whoever raises it."""

import asyncio

import pytest
import uvloop

from monitor.errors import LogUnavailableError
from monitor.log.kafka_client import named_failures


async def write_to_a_connection_that_has_closed() -> None:
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await reader.read()
        writer.transport.abort()
        await writer.wait_closed()
        with named_failures("Kafka"):
            writer.write(b"a request")


def test_a_connection_that_closes_before_a_client_writes_to_it_is_kafka_being_away() -> None:
    with pytest.raises(LogUnavailableError, match=r"^Kafka: .*the handler is closed"):
        uvloop.run(write_to_a_connection_that_has_closed())
