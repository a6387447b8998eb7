import json
import logging
import subprocess
import sys

from monitor.service.log_lines import REPEAT_SECONDS, RepeatFilter

SAID = """
import logging, sys
import structlog
from monitor.service import log_lines

log_lines.configure(sys.stderr)
structlog.get_logger("monitor.part").warning("ours", partition=3)
logging.getLogger("aiokafka").error("Unable connect to node with id %s: %s", 1, "refused")
try:
    1 / 0
except ZeroDivisionError:
    structlog.get_logger("monitor.part").exception("ours failed")
    logging.getLogger("asyncio").exception("theirs failed")
"""

MADE = """
import asyncio, logging, sys
from aiokafka import AIOKafkaConsumer
from monitor.service import log_lines

log_lines.configure(sys.stderr)

async def make() -> None:
    by_group, by_itself = AIOKafkaConsumer(group_id="group"), AIOKafkaConsumer("livestream.health")
    by_group.subscribe(["livestream.events"])
    await by_group.stop()
    await by_itself.stop()

asyncio.run(make())
logging.getLogger("aiokafka.consumer.group_coordinator").info("Joined group")
logging.getLogger("aiokafka.consumer.consumer").warning("theirs")
"""


def complaint(
    text: str, *values: object, name: str = "aiokafka", level: int = logging.ERROR
) -> logging.LogRecord:
    return logging.LogRecord(name, level, "client.py", 1, text, values, None)


def test_whoever_says_something_says_it_as_one_json_object_a_line() -> None:
    ran = subprocess.run([sys.executable, "-c", SAID], capture_output=True, text=True, check=True)

    lines = [json.loads(line) for line in ran.stderr.splitlines()]
    assert [line["event"] for line in lines] == [
        "ours",
        "Unable connect to node with id 1: refused",
        "ours failed",
        "theirs failed",
    ]
    assert [line["logger"] for line in lines] == ["monitor.part", "aiokafka", "monitor.part", "asyncio"]
    assert [line["level"] for line in lines] == ["warning", "error", "error", "error"]
    assert lines[0]["partition"] == 3
    assert all("timestamp" in line for line in lines)
    assert all("ZeroDivisionError" in line["exception"] for line in lines[2:])


def test_a_client_that_is_made_anew_once_a_second_while_kafka_is_away_says_nothing_of_it() -> None:
    ran = subprocess.run([sys.executable, "-c", MADE], capture_output=True, text=True, check=True)

    assert [json.loads(line)["event"] for line in ran.stderr.splitlines()] == ["Joined group", "theirs"]


def test_a_librarys_complaint_is_written_once_in_a_while_with_a_count() -> None:
    now = [0.0]
    repeats = RepeatFilter(lambda: now[0])

    passed = [repeats.filter(complaint("no node %s", number)) for number in range(40)]
    other = repeats.filter(complaint("no metadata"))
    now[0] = REPEAT_SECONDS
    later = complaint("no node %s", 40)

    assert [True, *[False] * 39] == passed
    assert other
    assert repeats.filter(later)
    assert vars(later)["unlogged_before"] == 39


def test_what_we_say_ourselves_and_what_is_no_complaint_is_always_written() -> None:
    repeats = RepeatFilter(lambda: 0.0)

    for _ in range(3):
        assert repeats.filter(complaint("left the group", name="monitor.worker.partitions"))
        assert repeats.filter(complaint("Joined group", level=logging.INFO))
