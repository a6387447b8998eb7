"""Reads a topic from its start and does nothing with it.

python drain_aiokafka.py TOPIC PARTITIONS EVENTS
"""

import asyncio
import json
import os
import sys
import time

from aiokafka import AIOKafkaConsumer, TopicPartition


async def main() -> None:
    topic, partitions, events = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    consumer = AIOKafkaConsumer(
        bootstrap_servers=os.environ["KAFKA"],
        enable_auto_commit=False,
        max_partition_fetch_bytes=4 << 20,
        fetch_max_bytes=32 << 20,
    )
    await consumer.start()
    assigned = [TopicPartition(topic, number) for number in range(partitions)]
    consumer.assign(assigned)
    await consumer.seek_to_beginning(*assigned)
    read, began = 0, time.perf_counter()
    while read < events:
        batches = await consumer.getmany(timeout_ms=500, max_records=5000)
        read += sum(len(records) for records in batches.values())
    print(json.dumps({"events": read, "seconds": time.perf_counter() - began}))
    await consumer.stop()


asyncio.run(main())
