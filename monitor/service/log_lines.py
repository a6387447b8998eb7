"""The log of a process of the service: one JSON object a line, whoever says it."""

import logging
from collections.abc import Callable
from typing import TextIO

import structlog
from structlog.typing import Processor

from monitor.clock import stopwatch

REPEAT_SECONDS = 30.0
"""The same complaint of a library is written once in this time, with a count."""

_MOST_COMPLAINTS = 1000

_TALKATIVE = (
    "httpx",
    "aiokafka.conn",
    "aiokafka.consumer.consumer",
    "aiokafka.consumer.subscription_state",
)
"""Who tells of each step, of no use to anybody: of a request to a vendor, of a connection that has given its
password, or of a consumer of Kafka's. One is made every second while Kafka is away, and some for each
partition that comes."""


class RepeatFilter(logging.Filter):
    """Lets a library's complaint pass once, then only counts it for a while.

    While a broker is away, Kafka's client complains some dozens of times a second. What is the same
    complaint is told by its text before anything is put into it. Our own lines all pass: who writes
    them knows how often.

    Args:
        elapsed: a steady counter of seconds.
    """

    def __init__(self, elapsed: Callable[[], float]) -> None:
        super().__init__()
        self._elapsed = elapsed
        self._since: dict[tuple[str, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record is written; one that is tells how many weren't before it."""
        if record.levelno < logging.WARNING or record.name.partition(".")[0] == "monitor":
            return True
        now, complaint = self._elapsed(), (record.name, str(record.msg))
        written, unwritten = self._since.get(complaint, (-REPEAT_SECONDS, 0))
        if now - written < REPEAT_SECONDS:
            self._since[complaint] = (written, unwritten + 1)
            return False
        if len(self._since) >= _MOST_COMPLAINTS:
            self._since.clear()
        self._since[complaint] = (now, 0)
        record.unlogged_before = unwritten
        return True


def configure(stream: TextIO) -> None:
    """Write what our own loggers and the libraries' say to a stream."""
    known: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(["unlogged_before"]),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*known, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream)
    handler.addFilter(RepeatFilter(stopwatch))
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=known,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.INFO, force=True)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
