"""The commands that reach Kafka."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

from monitor.config import KafkaSettings, LogSettings, Settings, load_settings
from monitor.event import Channel, EventId, Vendor
from monitor.log import kafka_topics
from monitor.log.kafka import KafkaLog
from monitor.log.protocol import DeadLetter
from tests.kafka_broker import Brokers, eventually
from tests.log.kafka_records import events

CONFIGURATION = """
[log]
backend = "kafka"
path = "spool.db"

[kafka]
bootstrap_servers = "{bootstrap_servers}"
topic_prefix = "{topic_prefix}"
partitions = {partitions}
replication_factor = {replication_factor}

[receiver]
listen = "127.0.0.1:0"

[admin]
listen = "127.0.0.1:0"

[[sources]]
name = "one"
vendor = "softsugar"
public_url = "https://hooks.example.com/callbacks/one"
keys = ["Abc123def"]
"""

DECODABLE = b'{"sessionId": "session-1", "status": 35}'


@pytest.fixture
def settings(kafka: Brokers, tmp_path: Path) -> Settings:
    write(tmp_path, kafka.settings())
    return load_settings(tmp_path / "monitor.toml", {})


def write(folder: Path, kafka: KafkaSettings) -> None:
    file = folder / "monitor.toml"
    file.write_text(CONFIGURATION.format(**kafka.model_dump()))
    file.chmod(0o600)


async def run(folder: Path, *arguments: str) -> tuple[int, bytes, str]:
    """Run `monitor` and return its exit code, stdout and stderr."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "monitor", *arguments, "--config", str(folder / "monitor.toml")),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    stdout, stderr = await process.communicate()
    assert process.returncode is not None
    return process.returncode, stdout, stderr.decode()


def letter(sequence: int, body: bytes) -> DeadLetter:
    return DeadLetter(
        EventId("receiver-1", 1, sequence),
        Vendor.SOFTSUGAR,
        "one",
        None,
        Channel.CALLBACK,
        None,
        1_700_000_000.25 + sequence,
        None,
        body,
        "not_json",
        "The body is not JSON.",
    )


async def keep(settings: Settings, folder: Path, *letters: DeadLetter) -> None:
    log = await KafkaLog.open(settings.model_copy(update={"log": LogSettings(path=folder / "other.db")}))
    await log.append((), letters)
    # On a busy machine the spool may have taken them.
    await eventually(lambda: log.spool.events == 0)
    await log.close()


async def test_dead_letters_are_listed_shown_and_retried(settings: Settings, tmp_path: Path) -> None:
    await keep(settings, tmp_path, letter(1, DECODABLE), letter(2, b"nothing"), letter(3, DECODABLE))

    code, listed, stderr = await run(tmp_path, "dead-letters", "list", "--json")
    assert (code, stderr) == (0, "")
    assert [(one["number"], one["id"]) for one in json.loads(listed)] == [
        (3, "receiver-1-1-3"),
        (2, "receiver-1-1-2"),
        (1, "receiver-1-1-1"),
    ]
    assert await run(tmp_path, "dead-letters", "show", "2", "--raw") == (0, b"nothing", "")

    code, retried, stderr = await run(tmp_path, "dead-letters", "retry", "--all")

    assert (code, retried) == (1, b"2 of 3 became events\n")
    assert stderr.startswith("2: not_json: ")
    kept = await events(settings.kafka)
    assert [(one.job_id, one.type, one.received) for one in kept] == [
        ("session-1", "session_status", 1_700_000_001.25),
        ("session-1", "session_status", 1_700_000_003.25),
    ]
    assert await run(tmp_path, "dead-letters", "show", "3") == (
        1,
        b"",
        "3: there is no dead letter of this number\n",
    )


async def test_dead_letters_of_a_kafka_that_is_away_are_one_line(settings: Settings, tmp_path: Path) -> None:
    write(tmp_path, settings.kafka.model_copy(update={"bootstrap_servers": "127.0.0.1:1"}))

    code, stdout, stderr = await run(tmp_path, "dead-letters", "list")

    assert (code, stdout) == (1, b"")
    assert stderr.startswith("Kafka at 127.0.0.1:1: ")
    assert len(stderr.splitlines()) == 1


async def test_a_check_reaches_the_brokers_and_finds_topics_that_differ(
    settings: Settings, tmp_path: Path
) -> None:
    code, before, stderr = await run(tmp_path, "check")
    assert (code, stderr) == (0, "")
    assert b"ok\tkafka.bootstrap_servers\t" in before
    assert b"ok\tkafka topics\t" in before
    await kafka_topics.ensure(settings)
    write(tmp_path, settings.kafka.model_copy(update={"partitions": 9}))

    code, after, stderr = await run(tmp_path, "check")

    topics = kafka_topics.names(settings.kafka)
    assert (code, stderr) == (1, "")
    assert [line for line in after.decode().splitlines() if line.startswith("error")] == [
        f"error\tkafka topics\tthe topic {topic} has 4 partitions, kafka.partitions asks for 9"
        for topic in (topics.events, topics.health)
    ]
