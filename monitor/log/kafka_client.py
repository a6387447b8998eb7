"""What every client of Kafka is made with: the addresses, the security, and aiokafka's compiled part."""

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Any

import aiokafka.client
from aiokafka.errors import KafkaConnectionError, KafkaError
from aiokafka.protocol.metadata import MetadataRequest
from aiokafka.record.default_records import DefaultRecordBatch

from monitor.config import KafkaSettings
from monitor.errors import ConfigurationError, LogUnavailableError

REQUEST_TIMEOUT_MS = 5000
"""How long one request may stay unanswered before it is made again, perhaps of another broker.

aiokafka has one request a broker under way: with its own 40 s, a broker that hangs rather than dies
would hold its partitions long after another one has taken them over.
"""

FAILURES = (KafkaError, RuntimeError)
"""What calls of a client raise when Kafka goes away. A connection that closes between two steps of aiokafka's
is a RuntimeError of uvloop's by the time that it writes to it."""

RETRY_SECONDS = 1.0
"""Between two attempts at what Kafka failed at."""

REPEAT_SECONDS = 30.0
"""Between two lines of the log about Kafka being away, or of no use: who tries once a second would say the
same each time."""

# Brokers make a topic that a client asks for by name, in their own way: one that was deleted would come back
# with other partitions, and states would expire in it. aiokafka has no setting for that.
aiokafka.client.MetadataRequest = partial(MetadataRequest, allow_auto_topic_creation=False)

_logger = logging.getLogger("aiokafka")


def address(kafka: KafkaSettings) -> str:
    """Return how errors call the cluster."""
    return f"Kafka at {kafka.bootstrap_servers}"


def tell_nothing() -> None:
    """Let aiokafka log nothing, in a command: it tells of each attempt to connect, an error of ours once."""
    _logger.addHandler(logging.NullHandler())
    _logger.propagate = False


@contextmanager
def named_refusals() -> Iterator[None]:
    """Name why no broker lets a client in, its password or its certificate: aiokafka tells its log alone.

    Raises:
        KafkaConnectionError: with what was said of each broker.
    """
    heard = _Heard()
    _logger.addHandler(heard)
    try:
        yield
    except KafkaConnectionError as error:
        raise KafkaConnectionError("; ".join(heard.lines) or str(error)) from error
    finally:
        _logger.removeHandler(heard)


class _Heard(logging.Handler):
    """Keeps what this task's client says of brokers; others may be made at the same time."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []
        self._task = asyncio.current_task()

    def emit(self, record: logging.LogRecord) -> None:
        """Take a line, unless it is advice of a connection, which has a logger of its own."""
        if record.name == _logger.name and asyncio.current_task() is self._task:
            self.lines.append(_message(record))


def _message(record: logging.LogRecord) -> str:
    """Return what a line says; an error without a text, as a time-out is, by its name."""
    if not (record.args and isinstance(record.args, tuple)):
        return record.getMessage()
    told = [str(one) or type(one).__name__ if isinstance(one, Exception) else one for one in record.args]
    return str(record.msg) % tuple(told)


@contextmanager
def named_failures(where: str) -> Iterator[None]:
    """Turn what a client raises, and a time-out, into LogUnavailableError.

    Args:
        where: how its message begins: what can't be reached.
    """
    try:
        yield
    except (*FAILURES, TimeoutError, OSError) as error:
        raise LogUnavailableError(f"{where}: {str(error) or type(error).__name__}") from error


@asynccontextmanager
async def within(seconds: float, problem: str) -> AsyncIterator[asyncio.Timeout]:
    """Give aiokafka so long: of brokers that are away it says nothing, and tries again without an end.

    Args:
        seconds: from now; the limit that is given can be moved.
        problem: what the error says.

    Raises:
        TimeoutError: that time is over.
    """
    try:
        async with asyncio.timeout(seconds) as limit:
            yield limit
    except TimeoutError:
        raise TimeoutError(problem) from None


def options(kafka: KafkaSettings) -> dict[str, Any]:
    """Return the arguments that a producer, a consumer and an admin client of aiokafka have in common.

    Raises:
        ConfigurationError: aiokafka came without its compiled part, or ssl_cafile holds no certificate.
    """
    _require_compiled_records()
    common: dict[str, Any] = {
        "bootstrap_servers": [server.strip() for server in kafka.bootstrap_servers.split(",")],
        "request_timeout_ms": REQUEST_TIMEOUT_MS,
        "security_protocol": kafka.security_protocol,
    }
    if kafka.security_protocol.endswith("SSL"):
        common["ssl_context"] = _ssl_context(kafka)
    if kafka.security_protocol.startswith("SASL_"):
        common["sasl_mechanism"] = kafka.sasl_mechanism
        common["sasl_plain_username"] = kafka.sasl_username
        if kafka.sasl_password is not None:
            common["sasl_plain_password"] = kafka.sasl_password.get_secret_value()
    return common


def _ssl_context(kafka: KafkaSettings) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=kafka.ssl_cafile)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(
            [f"kafka.ssl_cafile: {kafka.ssl_cafile} holds no certificates that can be read: {error.strerror}"]
        ) from None


def _require_compiled_records() -> None:
    """Refuse aiokafka's fallback in Python: it reads and writes records many times slower, silently."""
    if "_crecords" not in DefaultRecordBatch.__module__:
        raise ConfigurationError(
            ["log.backend: aiokafka lacks its compiled part here; install a wheel of it, or a compiler first"]
        )
