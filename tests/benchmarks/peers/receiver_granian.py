"""An RSGI receiver that answers a callback once Kafka has acknowledged it, many in one batch.

What came while the event loop was busy goes to Kafka together, a batch for each partition.

granian --interface rsgi --loop uvloop --no-access-log receiver_granian:app
"""

import asyncio
import os
import zlib
from collections import defaultdict
from typing import Any, NamedTuple

import msgspec
from aiokafka import AIOKafkaProducer

TOPIC = os.environ["TOPIC"]
PARTITIONS = int(os.environ["PARTITIONS"])


class Callback(msgspec.Struct):
    message: str


class Message(msgspec.Struct):
    job_id: str


class Waiting(NamedTuple):
    key: bytes
    body: bytes
    acknowledged: asyncio.Future[None]


read_callback, read_message = msgspec.json.Decoder(Callback).decode, msgspec.json.Decoder(Message).decode


class Receiver:
    def __init__(self) -> None:
        self.waiting: list[Waiting] = []
        self.has_waiting = asyncio.Event()
        self.tasks: set[asyncio.Task[None]] = set()

    def __rsgi_init__(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.run_until_complete(self.start())

    async def start(self) -> None:
        self.producer = AIOKafkaProducer(
            bootstrap_servers=os.environ["KAFKA"], acks="all", enable_idempotence=True
        )
        await self.producer.start()
        await self.producer.partitions_for(TOPIC)
        self.spawn(self.send_all())

    def spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def send_all(self) -> None:
        while True:
            await self.has_waiting.wait()
            self.has_waiting.clear()
            taken, self.waiting = self.waiting, []
            parts: defaultdict[int, list[Waiting]] = defaultdict(list)
            for one in taken:
                parts[zlib.crc32(one.key) % PARTITIONS].append(one)
            for number, part in parts.items():
                batch = self.producer.create_batch()
                for one in part:
                    batch.append(key=one.key, value=one.body, timestamp=None)
                batch.close()
                sent = await self.producer.send_batch(batch, TOPIC, partition=number)
                self.spawn(self.acknowledge(sent, part))

    async def acknowledge(self, sent: asyncio.Future[Any], part: list[Waiting]) -> None:
        await sent
        for one in part:
            one.acknowledged.set_result(None)

    async def __rsgi__(self, _scope: Any, protocol: Any) -> None:
        body = await protocol()
        job_id = read_message(read_callback(body).message).job_id
        acknowledged = asyncio.get_running_loop().create_future()
        self.waiting.append(Waiting(job_id.encode(), body, acknowledged))
        self.has_waiting.set()
        await acknowledged
        protocol.response_str(200, [("content-type", "application/json")], "{}")


app = Receiver()
