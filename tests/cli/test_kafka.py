"""The commands that reach Kafka."""

import json
from pathlib import Path

import pytest

from monitor.config import KafkaSettings, LogSettings, Settings, load_settings
from monitor.event import Channel, Event, Vendor
from monitor.log import kafka_topics
from monitor.log.kafka import KafkaLog
from monitor.log.protocol import DeadLetter
from monitor.log.sqlite import SqliteLog
from tests.cli.letters import DECODABLE, letter
from tests.cli.running import SERVICE, run_beside
from tests.kafka_broker import Brokers
from tests.log.kafka_records import events

pytestmark = pytest.mark.usefixtures("patient")

CONFIGURATION = """
[log]
backend = "kafka"
path = "spool.db"

[kafka]
bootstrap_servers = "{bootstrap_servers}"
topic_prefix = "{topic_prefix}"
partitions = {partitions}
replication_factor = {replication_factor}
"""

PASSWORD = """
security_protocol = "SASL_PLAINTEXT"
sasl_mechanism = "PLAIN"
sasl_username = "monitor"
sasl_password_file = "password"
"""


@pytest.fixture
def config(kafka: Brokers, tmp_path: Path) -> Path:
    path = tmp_path / "monitor.toml"
    write(path, kafka.settings())
    path.chmod(0o600)
    return path


@pytest.fixture
def settings(config: Path) -> Settings:
    return load_settings(config, {})


def write(config: Path, kafka: KafkaSettings, more: str = "") -> None:
    config.write_text(CONFIGURATION.format(**kafka.model_dump()) + more + SERVICE)


async def keep(settings: Settings, folder: Path, *letters: DeadLetter) -> None:
    log = await KafkaLog.open(settings.model_copy(update={"log": LogSettings(path=folder / "other.db")}))
    await log.append((), letters)
    await log.close()


async def test_dead_letters_are_listed_shown_and_retried(
    settings: Settings, config: Path, tmp_path: Path
) -> None:
    await keep(settings, tmp_path, letter(1, DECODABLE), letter(2, b"nothing"), letter(3, DECODABLE))

    code, listed, stderr = await run_beside("dead-letters", "list", "--json", config=config)
    assert (code, stderr) == (0, "")
    assert [(one["number"], one["id"]) for one in json.loads(listed)] == [
        (3, "receiver-1-1-3"),
        (2, "receiver-1-1-2"),
        (1, "receiver-1-1-1"),
    ]
    assert await run_beside("dead-letters", "show", "2", "--raw", config=config) == (0, b"nothing", "")

    code, retried, stderr = await run_beside("dead-letters", "retry", "--all", config=config)

    assert (code, retried) == (1, b"2 of 3 became events\n")
    assert stderr.startswith("2: not_json: ")
    kept = await events(settings.kafka)
    assert [(one.job_id, one.type, one.received) for one in kept] == [
        ("session-1", "session_status", 1_700_000_001.25),
        ("session-1", "session_status", 1_700_000_003.25),
    ]
    assert await run_beside("dead-letters", "show", "3", config=config) == (
        1,
        b"",
        "3: there is no dead letter of this number\n",
    )


async def test_a_replay_says_of_both_logs_the_same(settings: Settings, config: Path, tmp_path: Path) -> None:
    embedded = tmp_path / "embedded"
    embedded.mkdir()
    (embedded / "monitor.toml").write_text('[log]\npath = "monitor.db"\n' + SERVICE)
    for log in (
        await KafkaLog.open(settings.model_copy(update={"log": LogSettings(path=tmp_path / "other.db")})),
        await SqliteLog.open(embedded / "monitor.db"),
    ):
        # Streams side by side, each told of every second, and of the end at the last.
        for second in range(6):
            for number in range(12):
                body = b'{"sessionId": "job%d", "status": %d}' % (number, 5 if second == 5 else 35)
                event = Event(
                    log.next_id(),
                    Vendor.SOFTSUGAR,
                    "one",
                    f"job{number}",
                    Channel.CALLBACK,
                    "session_status",
                    1_750_000_000 + second + number / 16,
                    1_750_000_000 + second,
                    body,
                )
                await log.append([event])
        await log.close()

    async def replayed(config: Path, *arguments: str) -> bytes:
        code, stdout, stderr = await run_beside("replay", *arguments, config=config)
        assert (code, stderr) == (0, "")
        return stdout

    there, here = config, embedded / "monitor.toml"
    by_job = [
        sorted(json.loads(await replayed(where, "--json")), key=lambda row: str(row["job_id"]))
        for where in (there, here)
    ]
    assert [row["outcome"] for row in by_job[0]] == ["completed"] * 12
    assert by_job[0] == by_job[1]

    until = str(1_750_000_003)
    series = [tmp_path / "there.txt", tmp_path / "here.txt"]
    for where, path in zip((there, here), series, strict=True):
        await replayed(where, "--openmetrics", str(path), "--step", "1", "--to", until)
    assert series[0].read_text() == series[1].read_text()
    assert "livestream_status{" in series[0].read_text()


async def test_a_replay_before_there_is_anything_makes_no_topic(settings: Settings, config: Path) -> None:
    code, stdout, stderr = await run_beside("replay", config=config)

    topic = kafka_topics.names(settings.kafka).events
    assert (code, stdout) == (1, b"")
    assert stderr == f"the topic {topic} isn't there yet; the service makes it at its first start\n"
    assert await kafka_topics.partitions(settings.kafka, topic) == 0


async def test_a_replay_of_other_partitions_than_there_are_says_so(settings: Settings, config: Path) -> None:
    await kafka_topics.ensure(settings)
    write(config, settings.kafka.model_copy(update={"partitions": 3}))

    code, stdout, stderr = await run_beside("replay", config=config)

    topic = kafka_topics.names(settings.kafka).events
    assert (code, stdout) == (1, b"")
    assert stderr == f"the topic {topic} has 4 partitions, not 3 as configured\n"


@pytest.mark.parametrize("asked", [["list"], ["show", "1"]])
async def test_looking_at_dead_letters_before_there_is_anything_makes_no_topic(
    settings: Settings, config: Path, asked: list[str]
) -> None:
    code, stdout, stderr = await run_beside("dead-letters", *asked, config=config)

    topic = kafka_topics.names(settings.kafka).dead_letters
    assert (code, stdout) == (1, b"")
    assert stderr == f"the topic {topic} isn't there yet; the service makes it at its first start\n"
    assert await kafka_topics.partitions(settings.kafka, topic) == 0


async def test_dead_letters_of_a_kafka_that_is_away_are_one_line(settings: Settings, config: Path) -> None:
    write(config, settings.kafka.model_copy(update={"bootstrap_servers": "127.0.0.1:1"}))

    code, stdout, stderr = await run_beside("dead-letters", "list", config=config)

    assert (code, stdout) == (1, b"")
    assert stderr.startswith("Kafka at 127.0.0.1:1: ")
    assert len(stderr.splitlines()) == 1


@pytest.mark.parametrize("command", [("check",), ("dead-letters", "list"), ("replay",)])
async def test_why_a_broker_does_not_let_a_command_in_is_said(
    command: tuple[str, ...], settings: Settings, config: Path
) -> None:
    # The broker takes no passwords, and says so.
    write(config, settings.kafka, PASSWORD)
    (config.parent / "password").write_text("secret")
    (config.parent / "password").chmod(0o600)

    code, stdout, stderr = await run_beside(*command, config=config)

    [said] = [line for line in f"{stdout.decode()}{stderr}".splitlines() if "Kafka at" in line]
    assert code == 1
    assert "IllegalSaslState" in said


async def test_a_check_reaches_the_brokers_and_finds_topics_that_differ(
    settings: Settings, config: Path
) -> None:
    code, before, stderr = await run_beside("check", config=config)
    assert (code, stderr) == (0, "")
    assert b"ok\tkafka.bootstrap_servers\t" in before
    assert b"ok\tkafka topics\t" in before
    await kafka_topics.ensure(settings)
    write(config, settings.kafka.model_copy(update={"partitions": 9}))

    code, after, stderr = await run_beside("check", config=config)

    topics = kafka_topics.names(settings.kafka)
    assert (code, stderr) == (1, "")
    assert [line for line in after.decode().splitlines() if line.startswith("error")] == [
        f"error\tkafka topics\tthe topic {topic} has 4 partitions, kafka.partitions asks for 9"
        for topic in (topics.events, topics.health)
    ]
