"""Runs a simulation: many streams at once, each in its own sequence, until their time is over."""

import asyncio
import contextlib
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from random import Random
from uuid import UUID

import httpx

from monitor.clock import RehearsalClock, stopwatch
from monitor.config import Settings, Source, build_clock
from monitor.errors import ConfigurationError, MonitorError
from monitor.event import Channel, Vendor
from monitor.simulator.bodies import Identity
from monitor.simulator.delivery import Addresses, Courier, Fate
from monitor.simulator.life import Action, Character, Delivery, session_life
from monitor.simulator.options import Scenario, SimulationOptions
from monitor.simulator.pace import Pace, StoppedError
from monitor.simulator.report import Report, show_progress
from monitor.simulator.stream_life import stream_life

MOST_REQUESTS = 64
"""To the service at once, each on a connection of its own: well below what it accepts."""

_KEPT_CONNECTIONS = 8
"""Idle ones. httpx looks at each of them for each request: with 64 that costs as much as all the rest."""

_TIMEOUT_SECONDS = 15.0

_KEEP_ALIVE_SECONDS = 2.0
"""Shorter than any server's: an idle connection that the server closes would look like a broken one."""

_SPREAD = 0.1
"""The part of a run within which its streams start."""

_ENDLESS_SPREAD = 60.0

_REGISTRATION_PAUSE = 1.0
_REGISTRATION_PATIENCE = 120.0
"""Seconds for which a service that took registrations before may be away: a restart, with its recovery."""

_AWAY = ("unreachable", "status 503")

_FULL = "the service can keep nothing now, and its log says why."
_NO_RECEIVER = "is the service running, and is --target the address of its POST /callbacks?"
_HINTS = {
    "status 401": "are the keys, public_url and clock of this configuration those of the service?",
    "status 403": "is this machine's address in the source's allow_networks?",
    "status 404": "are the sources of this configuration those of the service, and is --target its receiver?",
    "status 503": _FULL,
}
"""What to look at where no callback is accepted, by what became of them; of all else `_NO_RECEIVER`."""


class _InTurn(httpx.AsyncHTTPTransport):
    """Sends MOST_REQUESTS at once, and has the others wait for their turn.

    Where they wait for a connection of httpx's, it looks for each of them at each connection, again whenever
    one is answered: twice the work of all the rest. Such a wait isn't the service's fault and has no limit.
    """

    def __init__(self) -> None:
        limits = httpx.Limits(
            max_connections=None,
            max_keepalive_connections=_KEPT_CONNECTIONS,
            keepalive_expiry=_KEEP_ALIVE_SECONDS,
        )
        # No proxy of the environment: the simulator speaks to the service it was given.
        super().__init__(limits=limits, trust_env=False)
        self._turns = asyncio.Semaphore(MOST_REQUESTS)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        async with self._turns:
            return await super().handle_async_request(request)


class SimulationError(MonitorError):
    """The simulation can't go on; the message says why."""


def simulate(options: SimulationOptions) -> None:
    """Run a simulation and report it, also if it fails.

    Raises:
        ConfigurationError: no source is configured.
        SimulationError: a stream could not be registered, or no callback was accepted.
        MonitorError: the truth file can't be written.
    """
    # On uvloop httpx fails with an AttributeError where a connection is reset at once, as by a receiver that
    # is killed; whether a callback arrived could not be told.
    asyncio.run(_simulate(options))


async def _simulate(options: SimulationOptions) -> None:
    settings = options.settings
    if not settings.sources:
        raise ConfigurationError(["sources: the simulator needs at least one source to speak for"])
    clock = build_clock(settings)
    pace = Pace(options.speed, clock, clock.speed if isinstance(clock, RehearsalClock) else 1.0)
    report = Report(options)
    addresses = Addresses(options.target, settings.admin.address.url)
    async with httpx.AsyncClient(transport=_InTurn(), timeout=_TIMEOUT_SECONDS, trust_env=False) as client:
        with _stopped_by_signal(pace.stop):
            with show_progress(options, pace, report):
                async with asyncio.TaskGroup() as group:
                    for index in range(options.streams):
                        group.create_task(_slot(options, index, client, addresses, pace, report))
            # Still within: an impatient second Ctrl-C doesn't cut the file short.
            report.write()
    if report.failure is not None:
        raise report.failure
    if not report.callbacks and report.refusals:
        # A registration, or a relay's message, proves nothing of what vendors send.
        raise _nothing_accepted(report.refusals)
    if not report.counts[Fate.ACKNOWLEDGED]:
        raise SimulationError("The run was over before any callback was sent.")


def _nothing_accepted(refusals: Counter[str]) -> SimulationError:
    trouble = max(refusals, key=refusals.__getitem__)
    told = f"None of {sum(refusals.values())} callbacks was accepted ({trouble})"
    return SimulationError(f"{told}: {_HINTS.get(trouble, _NO_RECEIVER)}")


async def _slot(
    options: SimulationOptions,
    index: int,
    client: httpx.AsyncClient,
    addresses: Addresses,
    pace: Pace,
    report: Report,
) -> None:
    """Run one stream; without a duration, one after another."""
    for life in lives(options, index, lambda: pace.simulated):
        courier = Courier(life.identity, client, addresses, pace, options.attempts, report.counts)
        report.begin(life.identity, courier)
        try:
            await _live(life.deliveries, courier, pace, report)
        except StoppedError:
            return
        except SimulationError as error:
            # The others finish what they are at, as on Ctrl-C: whether it arrived is part of the truth.
            report.failure = error
            pace.stop()
            return
        finally:
            report.finish()


async def _live(deliveries: tuple[Delivery, ...], courier: Courier, pace: Pace, report: Report) -> None:
    for delivery in deliveries:
        if not await courier.deliver(delivery):
            return
        if delivery.fact.channel is not Channel.API or delivery.action is not Action.SEND:
            continue
        patience_ends = stopwatch() + _REGISTRATION_PATIENCE
        while delivery.fact not in courier.told:
            # Unless the run was stopped meanwhile, and with it the attempts.
            await pace.sleep(0)
            # That nobody ever took one is rather a wrong address, which is better known at once.
            if not report.registered or courier.trouble not in _AWAY or stopwatch() > patience_ends:
                raise _not_registered(courier.trouble)
            await pace.sleep(_REGISTRATION_PAUSE)
            if not await courier.deliver(delivery):
                return
        report.registered = True


def _not_registered(trouble: str) -> SimulationError:
    hint = (
        _FULL
        if trouble == "status 503"
        else "is the service running, and is [admin] listen of this configuration the address of its "
        "POST /api/jobs?"
    )
    return SimulationError(f"A job could not be registered ({trouble}): {hint}")


class Life:
    """A stream of a run: who it is, and all that its vendor will tell.

    Args:
        identity: who.
        scenario: what goes wrong with it.
        deliveries: in sending order.
    """

    def __init__(self, identity: Identity, scenario: Scenario, deliveries: tuple[Delivery, ...]) -> None:
        self.identity = identity
        self.scenario = scenario
        self.deliveries = deliveries


def lives(options: SimulationOptions, index: int, now: Callable[[], float]) -> Iterator[Life]:
    """Yield the lives of the run's stream number `index`: one, or without a duration one after another.

    Each depends on the options and its number alone, but for when it begins: later ones begin at
    `now()`, in simulated seconds.
    """
    generation = 0
    while True:
        random = Random(f"{options.seed}/{index}/{generation}")
        source = _source(options.settings, index)
        identity = _identity(random, source)
        character = _character(random, options, source)
        if options.duration is not None:
            begin, until = random.uniform(0, _SPREAD * options.duration), options.duration
        else:
            begin = now() + random.uniform(0, _ENDLESS_SPREAD)
            until = begin + random.uniform(900, 3600)
        draw = stream_life if source.vendor is Vendor.METASTUDIO else session_life
        yield Life(identity, character.scenario, draw(random, character, begin, until))
        if options.duration is not None:
            return
        generation += 1


def _source(settings: Settings, index: int) -> Source:
    """Return the source of a stream: the vendors take turns, and each vendor's sources do."""
    by_vendor = [[source for source in settings.sources if source.vendor is vendor] for vendor in Vendor]
    present = [sources for sources in by_vendor if sources]
    sources = present[index % len(present)]
    return sources[index // len(present) % len(sources)]


def _identity(random: Random, source: Source) -> Identity:
    if source.vendor is Vendor.METASTUDIO:
        job_id = UUID(int=random.getrandbits(128), version=4).hex
    else:
        job_id = f"Session-{random.getrandbits(64):016X}"
    room_id = f"{random.getrandbits(128):032x}"
    relay = f"relay-{random.randint(1, 9)}" if random.random() < 0.85 else None
    return Identity(source, job_id, room_id, f"{random.getrandbits(64):016x}", relay)


def _character(random: Random, options: SimulationOptions, source: Source) -> Character:
    scenario = options.scenario
    if scenario is Scenario.MIXED:
        scenario = random.choice([one for one in Scenario if one is not Scenario.MIXED])
    signed = source.is_signed
    # Nobody's order but the sender's is known where nothing is signed, and nothing tells of a loss
    # but RTC: such a stream has a quiet day.
    relayed = source.rtc_token is not None and scenario not in (Scenario.SKIPPING, Scenario.REORDERED)
    if scenario is Scenario.REORDERED and not signed:
        scenario = Scenario.STEADY
    if scenario is Scenario.LOST and not relayed:
        scenario = Scenario.STEADY
    relayed = relayed and (scenario is Scenario.LOST or random.random() < 0.5)
    return Character(source.vendor, scenario, signed, relayed, mortal=options.duration is None)


@contextlib.contextmanager
def _stopped_by_signal(stop: Callable[[], None]) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM end the run, and the report be written."""
    loop = asyncio.get_running_loop()
    signals = (signal.SIGINT, signal.SIGTERM)
    handled = []
    for one in signals:
        # Signals reach the main thread alone.
        with contextlib.suppress(RuntimeError, ValueError, NotImplementedError):
            loop.add_signal_handler(one, stop)
            handled.append(one)
    try:
        yield
    finally:
        for one in handled:
            loop.remove_signal_handler(one)
