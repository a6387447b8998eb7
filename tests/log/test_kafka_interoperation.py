"""What other programs make of our topics."""

import asyncio
import json
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary_event

from monitor.config import KafkaSettings, LogSettings, Settings
from monitor.event import Event
from monitor.log import kafka_topics
from monitor.log.kafka import KafkaLog
from tests.kafka_broker import SCRIPT, Brokers
from tests.log.kafka_records import event_records
from tests.log.making import event

CONSOLE_CONSUMER = "org.apache.kafka.tools.consumer.ConsoleConsumer"

# What a spool had taken would never be in the topic: the log is closed before anybody reads.
pytestmark = pytest.mark.usefixtures("patient")


async def kept(kafka: KafkaSettings, folder: Path) -> Event:
    """Append one event, and return it."""
    log = await KafkaLog.open(Settings(kafka=kafka, log=LogSettings(path=folder / "spool.db")))
    one = event(log.next_id(), received=1795240440.25, signed=1795240438)
    await log.append([one])
    await log.close()
    return one


async def test_kafkas_console_consumer_shows_the_cloudevents_headers(kafka: Brokers, tmp_path: Path) -> None:
    settings = kafka.settings(partitions=1)
    one = await kept(settings, tmp_path)
    command = [
        *(str(SCRIPT), "tool", CONSOLE_CONSUMER, "--bootstrap-server", settings.bootstrap_servers),
        *("--topic", kafka_topics.names(settings).events, "--from-beginning", "--max-messages", "1"),
        *("--timeout-ms", "60000", "--formatter-property", "print.headers=true"),
        *("--formatter-property", "print.key=true", "--formatter-property", "print.timestamp=true"),
    ]

    done = await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, check=False, timeout=120
    )

    assert done.returncode == 0, done.stderr
    headers = [
        "ce_specversion:1.0",
        f"ce_id:{one.id}",
        "ce_source:/sources/room-a",
        "ce_type:metastudio.callback.REPLY_COMMAND_FINISH",
        "ce_subject:job-1",
        "ce_time:2026-11-21T05:53:58Z",
        "ce_receivedtime:2026-11-21T05:54:00.250000Z",
    ]
    assert done.stdout.rstrip("\n").split("\t") == [
        "CreateTime:1795240440250",
        ",".join(headers),
        "room-a/job-1",
        one.body.decode(),
    ]


async def test_the_cloudevents_package_reads_a_record(kafka: Brokers, tmp_path: Path) -> None:
    settings = kafka.settings(partitions=1)
    one = await kept(settings, tmp_path)
    [record] = await event_records(settings)

    read = from_binary_event(KafkaMessage(dict(record.headers), record.key, record.value))

    assert read.get_specversion() == "1.0"
    assert read.get_id() == str(one.id)
    assert read.get_source() == "/sources/room-a"
    assert read.get_type() == "metastudio.callback.REPLY_COMMAND_FINISH"
    assert read.get_subject() == "job-1"
    assert read.get_time() == datetime(2026, 11, 21, 5, 53, 58, tzinfo=UTC)
    assert read.get_extension("receivedtime") == "2026-11-21T05:54:00.250000Z"
    assert read.get_extension("partitionkey") == "room-a/job-1"
    assert read.get_data() == json.loads(one.body)
