"""Real Kafka brokers on loopback for tests: started, paused, killed and brought back, one by one."""

import asyncio
import base64
import logging
import os
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError

from monitor.config import KafkaSettings
from tests.ports import free_ports

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = ROOT / "deploy" / "kafka" / "kafka"

_START_SECONDS = 90.0
_SYNC_SECONDS = 120.0
_STOP_SECONDS = 10.0

# Brokers that live for seconds spend them on compiling: the quick compiler is all they need.
_JAVA_OPTIONS = "-XX:TieredStopAtLevel=1"

# A record has the time of its event, and tests tell of events of any year: those that are older than a
# topic's retention would be gone with the first look for them. In a topic that is compacted as well, it is
# the cleaner that looks, every 15 s. The last line: an idle broker writes two records a second, which cost
# half of its work and tell nobody here anything.
_PROPERTIES = """
log.initial.task.delay.ms=86400000
log.retention.check.interval.ms=86400000
log.cleaner.backoff.ms=86400000
metadata.max.idle.interval.ms=0
"""


class Broker:
    """One broker process, which may be gone and come back; its folder and ports stay.

    Args:
        folder: of its data; made when it starts first.
        command: how it is started.
        port: where clients reach it.
        properties: more than all brokers of tests have, a line each.
    """

    def __init__(self, folder: Path, command: list[str], port: int, properties: str) -> None:
        self.address = f"127.0.0.1:{port}"
        self._folder, self._command, self._properties = folder, command, _PROPERTIES + properties
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Begin to start; `Brokers.wait` tells when it is there."""
        assert self._process is None
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / "output.log").open("ab") as output:
            self._process = subprocess.Popen(
                self._command,
                env={
                    **os.environ,
                    "KAFKA_HEAP": "256m",
                    "JDK_JAVA_OPTIONS": _JAVA_OPTIONS,
                    "KAFKA_PROPERTIES": self._properties,
                },
                stdout=output,
                stderr=output,
            )

    def pause(self) -> None:
        """Stop it where it is, with all of its threads: connections stay, nothing is answered."""
        self._signal(signal.SIGSTOP)
        # A thread on another core goes on until the signal has reached it, and may answer once more.
        deadline = time.monotonic() + _STOP_SECONDS
        while not self._is_stopped():
            assert time.monotonic() < deadline, f"not stopped within {_STOP_SECONDS:g} s: {self._folder}"
            time.sleep(0.001)

    def resume(self) -> None:
        """Let a paused broker go on."""
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it with SIGKILL, if it runs."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def restore(self) -> None:
        """Begin to run again, whatever was done to it."""
        if self._process is None:
            self.start()
        else:
            self.resume()

    def check(self) -> None:
        """Fail, with its last lines, if it has ended by itself."""
        if self._process is not None and self._process.poll() is not None:
            lines = (self._folder / "output.log").read_text(errors="replace").splitlines()
            raise AssertionError("\n".join([f"a broker ended by itself: {self._folder}", *lines[-20:]]))

    def _is_stopped(self) -> bool:
        assert self._process is not None
        threads = Path(f"/proc/{self._process.pid}/task").glob("*/stat")
        try:
            told = [thread.read_text() for thread in threads]
        except (FileNotFoundError, ProcessLookupError):
            # One has just ended.
            return False
        # The state stands behind the thread's name, which is in brackets.
        return all(text.rpartition(")")[2].split()[0] == "T" for text in told)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)


class Brokers:
    """Brokers that make one cluster.

    Args:
        folder: where their folders go.
        count: 1 or 3.
        properties: more than all brokers of tests have, a line each; {port} and {controller} are a broker's.
    """

    def __init__(self, folder: Path, count: int, properties: str = "") -> None:
        ports = free_ports(2 * count)
        nodes = list(zip(range(1, count + 1), ports[:count], ports[count:], strict=True))
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode().replace("-", "a")
        voters = ",".join(f"{node}@127.0.0.1:{controller}" for node, _, controller in nodes)
        self.each = [
            Broker(
                folder / str(node),
                [str(SCRIPT), "run", str(folder / str(node)), str(port), str(controller)]
                if count == 1
                else [
                    *(str(SCRIPT), "join", str(folder / str(node)), str(port), str(controller)),
                    *(str(node), cluster, voters),
                ],
                port,
                properties.format(port=port, controller=controller),
            )
            for node, port, controller in nodes
        ]
        self.addresses = ",".join(broker.address for broker in self.each)

    def start(self) -> None:
        """Start all of them, and wait until they are one cluster."""
        subprocess.run([SCRIPT, "fetch"], check=True)
        for broker in self.each:
            broker.start()
        self.wait()

    def wait(self) -> None:
        """Return once all of them know each other and take requests."""
        _wait_for(
            lambda: asyncio.run(_members(self.addresses)) == len(self.each),
            self.each,
            seconds=_START_SECONDS,
            what=f"brokers at {self.addresses} to be one cluster",
        )

    def restore(self) -> None:
        """Let those go on that were paused, start those that were killed, and wait until all are there."""
        for broker in self.each:
            broker.restore()
        self.wait()

    def stop(self) -> None:
        """End all of them at once: an orderly end waits for the others, and nobody needs their data."""
        for broker in self.each:
            broker.kill()

    def settings(self, *, partitions: int = 4) -> KafkaSettings:
        """Return settings with topics and a group that nothing else uses."""
        name = uuid.uuid4().hex[:12]
        return KafkaSettings(
            bootstrap_servers=self.addresses,
            topic_prefix=f"{name}.",
            group_id=name,
            partitions=partitions,
            replication_factor=len(self.each),
        )


def bring_back(*brokers: Broker) -> None:
    """Start brokers that were killed, and wait until each holds all that the others hold."""
    for broker in brokers:
        broker.start()
    # Right after a kill the others still count it in: what it says itself is what tells.
    _wait_for(
        lambda: all(asyncio.run(_is_in_sync(broker.address)) for broker in brokers),
        brokers,
        seconds=_SYNC_SECONDS,
        what=f"{', '.join(broker.address for broker in brokers)} to be in sync",
    )


async def eventually(condition: Callable[[], bool], *, seconds: float = 60.0) -> None:
    """Return once a condition holds; fail after the limit."""
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, f"not within {seconds:g} s"
        await asyncio.sleep(0.01)


def _wait_for(condition: Callable[[], bool], brokers: Iterable[Broker], *, seconds: float, what: str) -> None:
    """Return once a condition holds; fail after the limit, or when one of the brokers ends by itself."""
    limit = time.monotonic() + seconds
    with _without_client_errors():
        while not condition():
            for broker in brokers:
                broker.check()
            assert time.monotonic() < limit, f"waited {seconds:g} s for {what}"
            time.sleep(0.1)


@contextmanager
def _without_client_errors() -> Iterator[None]:
    """Let the client say nothing of brokers that aren't there yet: it would hide what failed later."""
    logger = logging.getLogger("aiokafka")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


async def _members(addresses: str) -> int:
    """Return how many brokers the cluster counts, as any of the addresses tells; 0 if none answers."""
    client = AIOKafkaClient(bootstrap_servers=addresses.split(","), request_timeout_ms=2000)
    try:
        await client.bootstrap()
        return len(client.cluster.brokers())
    except KafkaError:
        return 0
    finally:
        await client.close()


async def _is_in_sync(address: str) -> bool:
    """Whether a broker answers, and knows no partition that lacks a replica."""
    admin = AIOKafkaAdminClient(bootstrap_servers=address, request_timeout_ms=5000)
    try:
        await admin.start()
        topics = await admin.describe_topics()
        partitions = [partition for topic in topics for partition in topic["partitions"]]
        return bool(partitions) and all(
            len(partition["isr"]) == len(partition["replicas"]) for partition in partitions
        )
    except (KafkaError, TimeoutError):
        return False
    finally:
        await admin.close()
