"""A worker that folds a log, a vendor's API as a real server, and the rounds that ask it."""

import asyncio
import contextlib
import json
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from monitor.clock import SystemClock
from monitor.config import LogSettings, Settings, Source
from monitor.event import Channel, Event, Vendor, canonical_job_id
from monitor.health.status import Verdict, status
from monitor.health.stream import Outcome, StreamKey, StreamState
from monitor.log.sqlite import SqliteLog
from monitor.log.sqlite_checkpoints import SqliteCheckpoints
from monitor.metrics.service import ServiceMetrics
from monitor.reconcile.rounds import Pace, SourceRounds, Surroundings
from monitor.vendors import registry
from monitor.worker.checkpoint import Checkpointer
from monitor.worker.fleet import Fleet
from monitor.worker.loop import Worker
from monitor.worker.shard import Shard
from tests.receiver.running import eventually
from tests.vendors.vendor_server import JOB, ROOM, TestedVendor, opened, running_vendor, source_of

PACE = Pace(ask_every=0.2, slowest=1.0, look_again=0.4, emptied=2.0, calls=50)
PAST = 100.0
"""How long ago the callbacks of a test were received, in seconds."""


@dataclass
class Asking:
    """One source with its log, its folded streams, and the rounds."""

    vendor: TestedVendor
    source: Source
    log: SqliteLog
    shard: Shard
    fleet: Fleet
    clock: SystemClock
    registry: CollectorRegistry
    rounds: SourceRounds

    async def call_back(
        self, state: str, job_id: str = JOB, *, ago: float = PAST, room_id: str = ROOM
    ) -> None:
        """Have the vendor's callback about an RTMP state come in, some seconds ago."""
        message = {"job_id": job_id, "room_id": room_id, "output_url": "rtmp://h/live", "stream_key": "k"}
        content = {
            "event_type": "RTMP_STREAM_STATE_CHANGE",
            "message": json.dumps({**message, "state": state}),
        }
        await self.append(
            Channel.CALLBACK, "RTMP_STREAM_STATE_CHANGE", json.dumps(content).encode(), job_id, ago
        )

    async def call_back_session(self, status: int, session: str, *, ago: float = PAST) -> None:
        """Have SoftSugar's callback about a session come in, some seconds ago."""
        body = json.dumps({"sessionId": session, "status": status}).encode()
        await self.append(Channel.CALLBACK, "session_status", body, session, ago)

    async def register(self, *, ago: float = PAST) -> None:
        """Register the job, subscribed to RTMP states, some seconds ago."""
        callbacks = {"callback_event_type": ["RTMP_STREAM_STATE_CHANGE"]}
        start = {"room_id": ROOM, "live_event_callback_config": callbacks}
        body = json.dumps({"request": start, "response": {"job_id": JOB}}).encode()
        reduced = registry.reduce_registration(self.source.vendor, body).body
        await self.append(Channel.API, "job_registered", reduced, JOB, ago)

    async def append(self, channel: Channel, kind: str, body: bytes, job_id: str, ago: float) -> None:
        """Append an event, and wait until it is folded."""
        vendor, name = self.source.vendor, self.source.name
        received = SystemClock().now() - ago
        told = (vendor, name, canonical_job_id(job_id), channel, kind, received, None, body)
        await self.log.append([Event(self.log.next_id(), *told)])
        await self.fold()

    async def fold(self) -> None:
        """Wait until all that is in the log is folded."""
        head = await self.log.head()
        await eventually(lambda: self.shard.position >= head)

    async def round(self) -> int:
        """Ask for one round, and fold what it told."""
        differences = await self.rounds.round()
        await self.fold()
        return differences

    def state(self, job_id: str = JOB) -> StreamState:
        """Return a stream's state."""
        return self.shard.streams[StreamKey(self.source.name, canonical_job_id(job_id))]

    def verdict(self, job_id: str = JOB) -> Verdict:
        """Return a stream's status now."""
        return status(self.state(job_id), self.clock.now(), self.shard.settings)

    def outcome(self, job_id: str = JOB) -> Outcome | None:
        """Return how a stream ended, None if it hasn't."""
        end = self.state(job_id).end
        return None if end is None else end.outcome

    def lines(self, job_id: str = JOB) -> list[str]:
        """Return what of the timeline came from the API."""
        return [line.what for line in self.state(job_id).transitions if line.channel is Channel.API]

    def sample(self, name: str, **labels: str) -> float | None:
        """Return a metric's value."""
        return self.registry.get_sample_value(name, {"source": self.source.name, **labels})

    async def api_events(self) -> int:
        """Return how many events of reconcile the log holds."""
        return sum(one.event.type == "job_observed" for one in await self.log.read(0, 10_000))


def job(state: str, **more: Any) -> dict[str, Any]:
    """Return a job as the vendor shows it."""
    return {"job_id": JOB, "room_id": ROOM, "state": state, **more}


@contextlib.asynccontextmanager
async def asking(
    folder: Path,
    kind: Vendor = Vendor.METASTUDIO,
    *,
    owns_list: Callable[[str], bool] = lambda _: True,
    pace: Pace = PACE,
) -> AsyncIterator[Asking]:
    """Run all parts while the context is open."""
    path = folder / "monitor.db"
    async with running_vendor() as vendor:
        source = source_of(vendor, kind=kind)
        settings = Settings(sources=(source,), log=LogSettings(path=path))
        log = await SqliteLog.open(path)
        checkpoints = await SqliteCheckpoints.open(path, log)
        clock, collected = SystemClock(), CollectorRegistry()
        metrics = ServiceMetrics(collected)
        shard, fleet = Shard(settings.health, {}), Fleet(clock)
        worker = asyncio.create_task(
            Worker(settings, log, Checkpointer(checkpoints, shard), shard, fleet, metrics).run()
        )
        api = opened(source)
        around = Surroundings(fleet, log, metrics, clock, random.Random(1), owns_list)
        rounds = SourceRounds(source, api, around, pace)
        try:
            await eventually(lambda: not fleet.recovering)
            yield Asking(vendor, source, log, shard, fleet, clock, collected, rounds)
        finally:
            await api.close()
            worker.cancel()
            await asyncio.gather(worker, return_exceptions=True)
            await checkpoints.close()
            await log.close()
