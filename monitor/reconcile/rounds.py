"""One source's rounds: list what runs, ask for what isn't listed, look twice before a conclusion."""

import asyncio
import random
from collections.abc import Callable, Iterable
from typing import NamedTuple

import structlog

from monitor.clock import Clock, stopwatch
from monitor.config import Source
from monitor.errors import LogUnavailableError
from monitor.event import Channel, Event, JobObserved, JobState
from monitor.health.stream import Outcome, StreamKey, StreamState
from monitor.log.protocol import EventLog
from monitor.metrics.service import ServiceMetrics
from monitor.metrics.vendor_errors import CODE_LENGTH, count_error
from monitor.reconcile.comparison import Difference, compare, is_explained, is_troubled
from monitor.reconcile.memory import Memory
from monitor.reconcile.streams import LiveStreams
from monitor.vendors.api_errors import (
    ApiError,
    NoSuchJobError,
    RefusedError,
    ThrottledError,
    UnreachableError,
    UnreadableError,
    VendorTroubleError,
)
from monitor.vendors.api_protocol import ObservedJob, VendorApi
from monitor.vendors.observation import JOB_OBSERVED, encode_observation

BAD_JOBS_SECONDS = 86400.0
"""Failed jobs are listed that were created this long ago: as long as the marker of an ended stream stays."""

WARNINGS_SECONDS = 600.0
"""How old a room's live warnings get before they are asked for again."""

EXPLAINED_SECONDS = 600.0
"""How long after an end the API is asked why."""

MOST_UNANSWERED = 3
"""After so many questions in a row that the vendor failed at, it is no single stream's trouble any more."""

MANY = 3
"""So many sessions that leave a list at once, and with them all that are known: rather the list's trouble."""

FAILING_SECONDS = 300.0
"""How far apart rounds get that fail, where all are not further apart anyway: whoever looks at the last half
hour is to see more than one."""

LONGEST_REST_SECONDS = 900.0
"""A vendor that wants to be left alone for longer is asked all the same: nobody else tells of a lost end."""

_log = structlog.get_logger(__name__)


class Pace(NamedTuple):
    """How often to ask.

    ask_every, slowest: seconds between rounds, when something is amiss and when all has agreed for long.
    look_again: seconds until the second look. emptied: seconds after which a list that held none of a
    source's sessions is believed, if it still holds none. calls: the most in one round.
    """

    ask_every: float = 60.0
    slowest: float = 300.0
    look_again: float = 10.0
    emptied: float = 60.0
    calls: int = 60


def _everybody(source: str) -> bool:
    """One process has all streams, so it lists for every source."""
    del source
    return True


class Surroundings(NamedTuple):
    """What the rounds of all sources of a process have in common.

    streams: that this process answers for. log: takes what differs, as events of the channel `api`.
    metrics: count questions, failures and differences. clock: tells the received time. rng: jitters.
    owns_list: whether this process is the one that lists a source's jobs, by the source's name.
    """

    streams: LiveStreams
    log: EventLog
    metrics: ServiceMetrics
    clock: Clock
    rng: random.Random
    owns_list: Callable[[str], bool] = _everybody


class _Listing(NamedTuple):
    """What came of the API's lists.

    live: the streams that it says wait or run; None where it wasn't asked, or not all could be read, so that
    who isn't among them may be what couldn't. differences: how much was told. failure: what is wrong with
    what couldn't be read.
    """

    live: set[StreamKey] | None
    differences: int
    failure: ApiError | None


class SourceRounds:
    """Asks one vendor's account about its streams, round after round.

    Args:
        source: whose account.
        api: to it; what it may be asked in a minute is the API's own rate limit.
        around: what it tells, and to whom.
        pace: how often to ask.
    """

    def __init__(self, source: Source, api: VendorApi, around: Surroundings, pace: Pace) -> None:
        self._source = source
        self._api = api
        self._streams = around.streams
        self._log = around.log
        self._metrics = around.metrics
        self._clock = around.clock
        self._rng = around.rng
        self._owns_list = around.owns_list
        self._pace = pace
        self._memory = Memory()
        self._interval = pace.ask_every
        # What two answers that a stream is missing must be apart, in this round.
        self._apart = pace.look_again
        self._not_before = 0.0
        self._left_unasked = False
        # Whether the API has told anything in this round.
        self._answered = False

    async def run(self) -> None:
        """Ask until cancelled. No failure of a question ends it."""
        await asyncio.sleep(self._rng.uniform(0.0, self._pace.ask_every / 4))
        while True:
            if not self._streams.recovering:
                await self._try_round()
            await self._rest()

    async def round(self) -> int:
        """Ask about everything once, and about what looks wrong once more; return how much differed.

        Raises:
            ApiError: the API gave no useful answer; what it had told before stands.
            LogUnavailableError: a difference could not be kept.
        """
        self._answered = False
        self._memory.forget(self._clock.now())
        listing, again = _Listing(None, 0, None), set[StreamKey]()
        if self._owns_list(self._source.name) or not self._api.shows_jobs:
            listing = await self._compare_listed(again)
        listed, differences, failure = listing
        self._apart = self._pace.emptied if self._lost_all(listed) else self._pace.look_again
        differences += await self._ask_each(self._worth_asking(listed), again, listed=listed is not None)
        if again:
            await asyncio.sleep(self._pace.look_again)
            differences += await self._look_again(again)
        await self._ask_warnings()
        if failure is not None:
            raise failure
        return differences

    async def _try_round(self) -> None:
        name = self._source.name
        try:
            differences = await self.round()
        except ApiError as error:
            self._count_failure(error)
            self._interval = max(self._pace.ask_every, min(self._slower(), FAILING_SECONDS))
            if isinstance(error, ThrottledError) and error.retry_after is not None:
                self._not_before = stopwatch() + min(error.retry_after, LONGEST_REST_SECONDS)
            _log.warning("vendor's API gave no answer", source=name, reason=error.reason, error=str(error))
            return
        except LogUnavailableError as error:
            self._metrics.reconcile_failures.labels(name, "log").inc()
            _log.warning("difference not kept", source=name, error=str(error))
            return
        if self._answered:
            # Not of a worker that had nothing to ask: it would say so while another one is refused each time.
            self._metrics.reconcile_round_timestamp.labels(name).set(self._clock.now())
        # While not all could be asked, slower rounds would make each stream's turn come later still.
        amiss = differences or self._left_unasked or any(map(is_troubled, self._own()))
        self._interval = self._pace.ask_every if amiss else self._slower()

    def _slower(self) -> float:
        return min(self._pace.slowest, self._interval * 1.5)

    async def _rest(self) -> None:
        """Wait for the next round; not longer than usual if something goes amiss meanwhile."""
        until = max(stopwatch() + self._interval * self._rng.uniform(0.8, 1.2), self._not_before)
        soonest = max(stopwatch() + self._pace.ask_every * self._rng.uniform(0.8, 1.2), self._not_before)
        while (now := stopwatch()) < until:
            if now >= soonest and any(map(is_troubled, self._own())):
                return
            await asyncio.sleep(min(until - now, self._pace.ask_every / 4))

    def _own(self) -> Iterable[StreamState]:
        name = self._source.name
        return (state for state in self._streams.shown() if state.source == name)

    async def _compare_listed(self, again: set[StreamKey]) -> _Listing:
        """Compare all jobs that the API lists, as far as they can be read."""
        name = self._source.name
        listed, differences, owns = set[StreamKey](), 0, self._owns_list(name)
        failure: ApiError | None = None
        try:
            async for job in self._api.running():
                key = StreamKey(name, job.job_id)
                listed.add(key)
                if owns or self._streams.get(key) is not None:
                    differences += await self._tell(key, job, again)
        except UnreadableError as error:
            failure = error
        self._answered = True
        whole = failure is None
        if owns:
            try:
                async for job in self._api.failed(self._clock.now() - BAD_JOBS_SECONDS):
                    differences += await self._tell(StreamKey(name, job.job_id), job, again)
            except (UnreadableError, RefusedError, VendorTroubleError, UnreachableError) as error:
                # The vendor has just told what runs: that it fails at this hides no lost end.
                failure = error
        return _Listing(listed if whole else None, differences, failure)

    def _lost_all(self, listed: set[StreamKey] | None) -> bool:
        """Whether the list holds none of many sessions, of which nothing else can be asked."""
        if listed is None or self._api.shows_jobs:
            return False
        live = [state.key for state in self._own() if state.end is None]
        return len(live) >= MANY and listed.isdisjoint(live)

    def _worth_asking(self, listed: set[StreamKey] | None) -> list[StreamState]:
        """Return whom to ask about one by one, the troubled first, then who wasn't asked for longest."""
        now = self._clock.now()
        wanted: list[tuple[bool, float, StreamState]] = []
        for state in self._own():
            if listed is not None and state.key in listed:
                continue
            end = state.end
            if end is not None and end.outcome is not Outcome.LOST:
                asks_why = not end.by_api and not is_explained(state) and now - end.at <= EXPLAINED_SECONDS
                if asks_why:
                    wanted.append((True, self._memory.asked_at(state.key), state))
                continue
            troubled = is_troubled(state)
            if listed is not None or troubled or self._memory.is_due(state, now):
                wanted.append((not troubled, self._memory.asked_at(state.key), state))
        self._left_unasked = len(wanted) > self._pace.calls
        wanted.sort(key=lambda one: one[:2])
        return [state for _, _, state in wanted[: self._pace.calls]]

    async def _ask_each(self, states: list[StreamState], again: set[StreamKey], *, listed: bool) -> int:
        """Ask about streams one by one.

        Args:
            states: of the streams.
            again: takes those that need a second look.
            listed: whether the API gave its list in this round, which holds none of them.

        Raises:
            ApiError: the vendor fails, and not only at a single stream.
        """
        differences, in_vain = 0, 0
        # Who has got no answer of any kind in this round can't tell a stream's trouble from the vendor's.
        most = MOST_UNANSWERED if listed else min(MOST_UNANSWERED, len(states))
        for state in states:
            try:
                differences += await self._ask(state, again, unlisted=listed)
            except (VendorTroubleError, UnreachableError) as error:
                in_vain += 1
                if in_vain == most:
                    raise
                self._count_failure(error)
            else:
                in_vain = 0
        return differences

    async def _ask(self, state: StreamState, again: set[StreamKey], *, unlisted: bool) -> int:
        """Ask about one stream, and tell what differs.

        Args:
            state: the stream's.
            again: takes it if a second look is needed.
            unlisted: whether the list of this round doesn't hold it.
        """
        if self._api.shows_jobs and state.job.room_id is not None:
            self._memory.ask(state.key, self._clock.now())
            try:
                job = await self._api.show(state.job.room_id, state.job_id)
            except (RefusedError, UnreadableError) as error:
                # This one stream's trouble; the others are asked about all the same.
                self._count_failure(error)
                return 0
            self._answered = True
        elif unlisted:
            # Where a job can't be asked for alone, that it isn't listed is all that can be known.
            job = _missing(state.key)
        else:
            return 0
        return await self._tell(state.key, job, again)

    async def _look_again(self, keys: set[StreamKey]) -> int:
        """Ask once more, about as many as a round may ask, what the first answer left open."""
        differences = 0
        if not self._api.shows_jobs:
            running = {job.job_id: job async for job in self._api.running()}
            for key in sorted(keys):
                job = running.get(key.job_id) or _missing(key)
                differences += await self._tell(key, job, set())
            return differences
        for key in sorted(keys)[: self._pace.calls]:
            state = self._streams.get(key)
            if state is not None:
                differences += await self._ask(state, set(), unlisted=False)
        return differences

    async def _tell(self, key: StreamKey, job: ObservedJob, again: set[StreamKey]) -> int:
        """Put an answer into the log if it is worth it; return 1 if it differs from what is known."""
        now, said = self._clock.now(), job.observed
        state = self._streams.get(key)
        kind = compare(state, job, now)
        if said.state is JobState.MISSING and kind is Difference.END:
            # A list may be a moment behind: only the second answer counts.
            if not self._memory.suspect(key, now, self._apart):
                again.add(key)
                return 0
        else:
            self._memory.clear(key)
        contradicts = state is not None and state.end is not None and kind is Difference.STATE
        if said.state is JobState.RUNNING and state is not None and (contradicts or is_troubled(state)):
            # One more answer proves whether it pushes.
            again.add(key)
        if kind is None or self._memory.was_told(key, said, now, known=state is not None):
            return 0
        if kind is Difference.UNKNOWN and self._memory.repeats(key, said):
            # Known to whoever folds it by now: told again as a sign of life.
            kind = Difference.AGREES
        await self._append(key.job_id, said, now)
        self._memory.tell(key, said, now)
        if kind in (Difference.AGREES, Difference.FIRST):
            return 0
        self._metrics.reconcile_differences.labels(self._source.name, kind).inc()
        return 1

    async def _ask_warnings(self) -> None:
        """Ask for the live warnings of some rooms, those that were not asked for longest."""
        now = self._clock.now()
        rooms: dict[str, list[StreamState]] = {}
        for state in self._own():
            if state.end is None and state.job.room_id is not None:
                rooms.setdefault(state.job.room_id, []).append(state)
        due = [room for room in rooms if now - self._memory.warned_at(room) >= WARNINGS_SECONDS]
        due.sort(key=self._memory.warned_at)
        for room in due[: max(1, self._pace.calls // 4)]:
            self._memory.warn(room, now)
            try:
                warnings = await self._api.warnings(room)
            except (NoSuchJobError, RefusedError, UnreadableError) as error:
                self._count_failure(error)
                continue
            self._answered = True
            for state in rooms[room]:
                told = state.observed
                first = told is None or told.warnings_at is None
                if warnings is not None and (first or set(warnings) != set(state.warnings)):
                    if set(warnings) != set(state.warnings):
                        differences = self._metrics.reconcile_differences
                        differences.labels(self._source.name, Difference.WARNINGS).inc()
                    await self._append(state.job_id, JobObserved(None, warnings=warnings), now)

    async def _append(self, job_id: str, said: JobObserved, now: float) -> None:
        stream = (self._source.vendor, self._source.name, job_id)
        body = encode_observation(job_id, said)
        event = Event(self._log.next_id(), *stream, Channel.API, JOB_OBSERVED, now, None, body)
        await self._log.append([event])

    def _count_failure(self, error: ApiError) -> None:
        self._metrics.reconcile_failures.labels(self._source.name, error.reason).inc()
        if isinstance(error, ThrottledError):
            # SoftSugar's code for it is one of the quotas, and those page: that streams can't be started.
            return
        code = error.said.code
        if code is not None and code.isascii() and code.isdigit() and len(code) <= CODE_LENGTH:
            count_error(self._metrics, self._source.vendor, self._source.name, code)


def _missing(key: StreamKey) -> ObservedJob:
    return ObservedJob(key.job_id, key.job_id, JobObserved(JobState.MISSING))
