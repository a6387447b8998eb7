"""The service on Kafka as several processes, and somebody who watches what each of them claims."""

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from monitor.config import KafkaSettings
from tests.end_to_end.running import Service, Simulation, hastened, http, wait_for

SESSION_SECONDS = 6
"""The shortest session time-out that brokers take by default."""

COUNTERS = re.compile(
    r"^livestream_(?:reconnects|outages|script_rounds|script_paragraphs_skipped|replies_finished"
    r"|callbacks_missed)_total\{(?P<labels>[^}]*)\} (?P<value>\S+)$",
    re.MULTILINE,
)
INFO = re.compile(r"^livestream_status_since_timestamp_seconds\{(?P<labels>[^}]*)\}", re.MULTILINE)

Claims = dict[str, set[str]]
"""By the name of a worker: the streams that it exports, as their labels."""


class Deployment:
    """Processes that share one Kafka, each with a configuration and a folder of its own.

    Args:
        folder: where their folders go.
        kafka: brokers, topics and group.
    """

    def __init__(self, folder: Path, kafka: KafkaSettings) -> None:
        self.receiver: Service
        self.workers: dict[str, Service] = {}
        self.kafka = kafka
        self._folder = folder
        self._services: list[Service] = []
        self._runs: list[Simulation] = []
        self._more = (
            f'[kafka]\nbootstrap_servers = "{kafka.bootstrap_servers}"\n'
            f'group_id = "{kafka.group_id}"\ntopic_prefix = "{kafka.topic_prefix}"\n'
            f"partitions = {kafka.partitions}\nreplication_factor = {kafka.replication_factor}\n"
            f"session_timeout_seconds = {SESSION_SECONDS}\n"
        )
        self.receiver = self.add("receiver")

    def add(self, role: str) -> Service:
        """Return a service of a role that isn't started yet."""
        folder = self._folder / f"{role}-{len(self._services) + 1}"
        folder.mkdir()
        service = Service(folder, more=self._more, log='backend = "kafka"', role=role)
        self._services.append(service)
        return service

    def add_worker(self) -> str:
        """Start one more worker, without waiting, and return its name."""
        worker = self.add("worker")
        worker.launch()
        self.workers[worker.folder.name] = worker
        return worker.folder.name

    def remove_worker(self, name: str) -> None:
        """Kill a worker with -9; it won't come back."""
        self.workers.pop(name).kill()

    def wait_until_ready(self) -> None:
        """Wait until every worker has its partitions."""
        for worker in list(self.workers.values()):
            wait_for(worker.is_ready, what=f"readiness; see {worker.folder}/serve.log")

    def hasten(self, speed: float) -> None:
        """Once all is folded, stop all workers, and launch them with a clock that runs faster from now on.

        Of what still waited, too much time would seem to lie between its events and those that are folded.
        """
        wait_for(lambda: self.receiver.total("monitor_spool_events") == 0, what="an empty spool")
        workers = list(self.workers.values())
        lag = "monitor_log_lag_events"
        wait_for(lambda: not any(one.total(lag) for one in workers), what="workers that caught up")
        # All with the same time: no partition comes to a worker whose clock is behind its last one's.
        for worker in workers:
            worker.stop()
        clock = hastened(speed)
        for worker in workers:
            worker.launch_with(clock)
        self.wait_until_ready()

    def play(self, **options: Any) -> Simulation:
        """Start a simulation against the receiver; `options` are those of `Simulation`."""
        run = Simulation(self.receiver, **options)
        self._runs.append(run)
        run.start()
        return run

    def page(self) -> str:
        """Return the metrics of all workers, one behind the other."""
        return "\n".join(worker.page() for worker in self.workers.values())

    def claims(self) -> Claims:
        """Return which worker exports which streams."""
        return {name: streams_of(worker.page()) for name, worker in self.workers.items()}

    def close(self) -> None:
        """See that nothing is left running."""
        for run in self._runs:
            run.close()
        for service in self._services:
            if service.process is not None and service.process.poll() is None:
                service.resume()
            service.close()


def streams_of(page: str) -> set[str]:
    """Return the labels of the streams that a page exports."""
    return set(INFO.findall(page))


class Watcher:
    """Scrapes workers again and again, and notes what must never be seen.

    Args:
        workers: returns those that there are, by name.
    """

    def __init__(self, workers: Callable[[], dict[str, Service]]) -> None:
        self.complaints: list[str] = []
        self.scrapes = 0
        self._workers = workers
        self._highest: dict[str, float] = {}
        self._last: dict[str, tuple[set[str], int]] = {}
        self._ended = threading.Event()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch in a thread while the context is open."""
        thread = threading.Thread(target=self._watch)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join()

    def _watch(self) -> None:
        while not self._ended.is_set():
            for name, worker in self._workers().items():
                try:
                    page = http.get(f"{worker.operators}/metrics", timeout=1.0).text
                except httpx.HTTPError:
                    # Killed, paused or not there yet; streams may go and come back unseen.
                    self._last.pop(name, None)
                    continue
                self._look(name, page)
            # Between two looks the workers need the processors for what is looked for.
            self._ended.wait(0.5)

    def _look(self, name: str, page: str) -> None:
        self.scrapes += 1
        streams = streams_of(page)
        before, number = self._last.get(name, (set(), 0))
        # A stream that this worker had at its last scrape and has now was its own all the time between.
        owned = before & streams
        for other, (others, at) in self._last.items():
            if other != name and at > number and (both := owned & others):
                self.complaints.append(f"{name} and {other} both export {sorted(both)[:3]}")
        self._last[name] = (streams, self.scrapes)
        for found in COUNTERS.finditer(page):
            # The name and labels, without the value.
            series, value = found[0].rpartition(" ")[0], float(found["value"])
            highest = self._highest.get(series, 0.0)
            if value < highest:
                self.complaints.append(f"{series} fell from {highest:g} to {value:g} at {name}")
            self._highest[series] = max(value, highest)
