"""Makes a topic and produces each line of the input into it: a key, a tab, a value.

python fill_topic.py TOPIC PARTITIONS < lines
"""

import json
import os
import sys

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic


def main() -> None:
    topic, partitions = sys.argv[1], int(sys.argv[2])
    broker = {"bootstrap.servers": os.environ["KAFKA"]}
    admin = AdminClient(broker)
    for made in admin.create_topics([NewTopic(topic, partitions, 1)]).values():
        made.result()
    # The queue holds more than a second's worth, so that polling now and then is enough.
    producer = Producer(broker | {"linger.ms": 20, "queue.buffering.max.messages": 1_000_000})
    produced = 0
    for line in sys.stdin.buffer:
        key, _, value = line.rstrip(b"\n").partition(b"\t")
        while True:
            try:
                producer.produce(topic, value, key=key)
                break
            except BufferError:
                producer.poll(0.1)
        produced += 1
        if produced % 10_000 == 0:
            producer.poll(0)
    left = producer.flush(60)
    print(json.dumps({"events": produced - left}))


if __name__ == "__main__":
    main()
