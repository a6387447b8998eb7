from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from monitor.config import AuthType, HealthSettings, LogSettings, Settings, Source
from monitor.errors import LogUnavailableError
from monitor.event import Channel, Event, EventId, ReplyFinished, Stored, Vendor
from monitor.health import fold as health_fold
from monitor.health.effect import Effect
from monitor.health.fold import fold
from monitor.log.protocol import DeadLetter
from monitor.log.sqlite import SqliteLog
from monitor.metrics.service import ServiceMetrics
from monitor.worker.folding import FEWEST, TOLD_SECONDS, WINDOW, Folder, StalledError
from monitor.worker.shard import Shard
from tests.set_clock import SetClock
from tests.worker.failing import LettersRefused

SIGNED = Source(
    name="signed",
    vendor=Vendor.METASTUDIO,
    public_url="https://hooks.example.com/signed",
    auth_type=AuthType.MSS_A_HEAD,
    keys=("GCTbw44s6MPLh4GqgDpnfuFHgy25Enly",),
)
SUGAR = Source(name="sugar", vendor=Vendor.SOFTSUGAR, public_url="https://hooks.example.com/sugar")
OPEN = Source(name="open", vendor=Vendor.METASTUDIO, public_url="https://hooks.example.com/open")
UNUSED = SIGNED.model_copy(update={"name": "unused", "auth_type": AuthType.NONE})
GONE = SIGNED.model_copy(update={"name": "gone"})

BEGAN = 1_700_000_000.0

GOOD = b'{"event_type":"REPLY_COMMAND_FINISH","message":"{\\"job_id\\":\\"job\\",\\"reply_id\\":\\"%d\\"}"}'


class Bench:
    """A folder with a log for its dead letters, and events for it. clock: stands when the first ones came."""

    def __init__(self, log: SqliteLog, share: float = 0.5) -> None:
        self.log = log
        self.metrics = ServiceMetrics(CollectorRegistry())
        self.shard = Shard(HealthSettings(), {})
        self._offset = 0
        self.clock = SetClock(BEGAN)
        settings = Settings(log=LogSettings(undecodable_share=share), sources=(SIGNED, SUGAR, OPEN, UNUSED))
        self._folder = Folder(settings, log, self.metrics, self.clock)

    async def fold(self, *, good: int = 0, bad: int = 0, source: Source = SIGNED) -> None:
        """Fold a batch, the bad ones last."""
        replies = [GOOD % (self._offset + number) for number in range(1, good + 1)]
        await self.fold_bodies(source, [*replies, *[b"no JSON"] * bad])

    async def fold_bodies(self, source: Source, bodies: Sequence[bytes]) -> None:
        """Fold a batch of callbacks, received a second after each other."""
        batch = []
        for body in bodies:
            self._offset += 1
            event = Event(
                EventId("receiver", 1, self._offset),
                source.vendor,
                source.name,
                "job",
                Channel.CALLBACK,
                "REPLY_COMMAND_FINISH",
                BEGAN + self._offset,
                None,
                body,
            )
            batch.append(Stored(0, self._offset, event))
        await self._folder.fold(self.shard, batch)

    def read_again(self) -> None:
        """Let the next batch begin behind the last event that is done with, as whoever reads the log does."""
        self._offset = self.shard.position

    def counted(self, outcome: str) -> float:
        """Return how many events were folded with this outcome."""
        return sum(
            sample.value
            for family in self.metrics.events.collect()
            for sample in family.samples
            if sample.name == "monitor_events_total" and sample.labels["outcome"] == outcome
        )

    async def letters(self) -> int:
        return len(await self.log.list(10_000, None))


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[SqliteLog]:
    opened = await SqliteLog.open(tmp_path / "monitor.db")
    yield opened
    await opened.close()


async def test_the_position_stays_before_dead_letters_until_they_are_kept(
    log: SqliteLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench, positions, append = Bench(log), list[int](), log.append

    async def looked_at(events: Sequence[Event], letters: Sequence[DeadLetter] = ()) -> None:
        positions.append(bench.shard.position)
        await append(events, letters)

    monkeypatch.setattr(log, "append", looked_at)
    await bench.fold(good=3)
    await bench.fold(good=1, bad=1)

    assert positions == [3]
    assert bench.shard.position == 5


async def test_what_cannot_be_decoded_goes_to_the_dead_letters(log: SqliteLog) -> None:
    bench = Bench(log)

    await bench.fold(good=3, bad=2)

    assert await bench.letters() == 2
    assert bench.shard.position == 5
    labels = {"source": "signed", "channel": "callback", "reason": "not_json"}
    assert bench.metrics.registry.get_sample_value("monitor_dead_letters_total", labels) == 2


async def test_an_error_that_a_callback_tells_is_counted_once_however_often_it_comes(log: SqliteLog) -> None:
    bench = Bench(log)
    told = b'{"sessionId":"job","code":80115962}'

    await bench.fold_bodies(SUGAR, [told, told])
    await bench.fold_bodies(SUGAR, [told])

    labels = {"vendor": "softsugar", "source": "sugar", "code": "80115962", "category": "quota"}
    assert bench.metrics.registry.get_sample_value("monitor_vendor_errors_total", labels) == 1
    assert (bench.counted("applied"), bench.counted("duplicate")) == (1, 2)


async def test_an_error_of_long_ago_that_is_folded_again_from_the_start_is_no_new_one(log: SqliteLog) -> None:
    bench = Bench(log)
    bench.clock.time += TOLD_SECONDS + 2

    await bench.fold_bodies(SUGAR, [b'{"sessionId":"job","code":80115962}'])
    await bench.fold_bodies(SUGAR, [b'{"sessionId":"job","code":83115922}'])

    def told(code: int, category: str) -> float | None:
        labels = {"vendor": "softsugar", "source": "sugar", "code": str(code), "category": category}
        return bench.metrics.registry.get_sample_value("monitor_vendor_errors_total", labels)

    assert not told(80115962, "quota")
    assert told(83115922, "session") == 1
    assert bench.counted("applied") == 2


async def test_an_error_that_is_told_again_with_the_end_that_it_led_to_is_counted_once(
    log: SqliteLog,
) -> None:
    bench = Bench(log)

    await bench.fold_bodies(
        SUGAR, [b'{"sessionId":"job","code":83115922}', b'{"sessionId":"job","code":83115922,"status":9}']
    )

    labels = {"vendor": "softsugar", "source": "sugar", "code": "83115922", "category": "session"}
    assert bench.metrics.registry.get_sample_value("monitor_vendor_errors_total", labels) == 1
    assert bench.counted("applied") == 2


async def test_each_event_has_its_delay_counted(log: SqliteLog) -> None:
    bench = Bench(log)
    # They are received one, two, three and four seconds after it began.
    bench.clock.time += 100

    await bench.fold(good=3, bad=1)

    sample = bench.metrics.registry.get_sample_value
    assert sample("monitor_event_delay_seconds_count") == 4
    assert sample("monitor_event_delay_seconds_sum") == 99 + 98 + 97 + 96


async def test_a_fault_of_the_fold_costs_the_others_nothing_and_loses_no_event(
    log: SqliteLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*told: Any) -> Effect:
        if told[1].offset == 2:
            raise LookupError("hush")
        return fold(*told)

    bench = Bench(log)
    monkeypatch.setattr("monitor.worker.shard.fold", fail)

    with capture_logs() as lines:
        await bench.fold(good=3)

    (stored,) = await log.list(10, None)
    assert (stored.letter.body, stored.letter.reason) == (GOOD % 2, "fold_failed")
    assert "LookupError" in stored.letter.detail
    assert bench.counted("applied") == 2
    assert bench.shard.position == 3
    (line,) = lines
    assert (line["event"], line["error"]) == ("fold_failed", "LookupError")
    assert line["at"].startswith("test_folding.py:")
    assert "hush" not in stored.letter.detail + str(lines)
    await log.close()


async def test_the_log_says_once_in_a_while_that_streams_of_a_source_are_not_tracked(
    log: SqliteLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(log)
    monkeypatch.setattr("monitor.worker.shard.DEFAULT_MAX_STREAMS", 0)

    with capture_logs() as lines:
        for _ in range(3):
            await bench.fold(good=2)
            await bench.fold(good=1, source=OPEN)

    assert bench.counted("overflow") == 9
    assert [(line["event"], line["log_level"], line["source"]) for line in lines] == [
        ("too many streams", "error", "signed"),
        ("too many streams", "error", "open"),
    ]
    assert "max_streams" in lines[0]["problem"]


async def test_when_most_cannot_be_decoded_folding_stops_before_the_dead_letters_fill(log: SqliteLog) -> None:
    bench = Bench(log)
    await bench.fold(good=400)

    with pytest.raises(StalledError, match="undecodable_share"):
        await bench.fold(bad=401)

    assert await bench.letters() == 0
    assert bench.shard.position == 400


async def test_a_worker_that_stops_says_what_is_wrong_where_no_dead_letter_can(log: SqliteLog) -> None:
    bench = Bench(log)

    with pytest.raises(StalledError, match="of source signed: not_json: the body: Invalid JSON"):
        await bench.fold(good=40, bad=60)

    assert await bench.letters() == 0


async def test_few_events_are_no_reason_to_stop(log: SqliteLog) -> None:
    bench = Bench(log)

    for _ in range(FEWEST - 1):
        await bench.fold(bad=1)
    assert await bench.letters() == FEWEST - 1

    with pytest.raises(StalledError):
        await bench.fold(bad=1)


async def test_a_batch_whose_dead_letters_could_not_be_kept_counts_once(
    log: SqliteLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(log)

    async def refused(*_: object) -> None:
        raise LogUnavailableError("the disk is full")

    with monkeypatch.context() as full:
        full.setattr(log, "append", refused)
        for _ in range(FEWEST):
            with pytest.raises(LogUnavailableError):
                await bench.fold(bad=1)
    await bench.fold(bad=1)
    await bench.fold(good=FEWEST)

    assert await bench.letters() == 1


async def test_an_event_whose_fold_fails_becomes_a_dead_letter_though_that_could_not_be_kept_at_first(
    log: SqliteLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> Effect:
        raise LookupError("hush")

    bench = Bench(log)
    monkeypatch.setitem(health_fold._HANDLERS, ReplyFinished, fail)
    with monkeypatch.context() as full:
        full.setattr(log, "append", LettersRefused(log))
        with pytest.raises(LogUnavailableError):
            await bench.fold(good=1)

    bench.read_again()
    await bench.fold(good=1)

    assert await bench.letters() == 1
    assert bench.counted("duplicate") == 0


async def test_events_of_a_batch_that_comes_again_in_parts_count_once(
    log: SqliteLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(log)
    with monkeypatch.context() as full:
        full.setattr(log, "append", LettersRefused(log))
        with pytest.raises(LogUnavailableError):
            await bench.fold(good=5, bad=1)

    bench.read_again()
    await bench.fold(good=2)
    await bench.fold(good=3, bad=1)
    await bench.fold(good=1)

    assert (bench.counted("applied"), bench.counted("duplicate")) == (6, 0)


async def test_what_could_not_be_decoded_long_ago_stops_nothing_now(log: SqliteLog) -> None:
    bench = Bench(log)

    for _ in range(3):
        await bench.fold(good=WINDOW // 2, bad=WINDOW * 2 // 5)
        await bench.fold(good=WINDOW)

    assert await bench.letters() == 3 * (WINDOW * 2 // 5)


async def test_what_came_long_ago_says_nothing_of_now(log: SqliteLog) -> None:
    bench = Bench(log)
    await bench.fold(good=10 * WINDOW)

    await bench.fold(good=WINDOW // 2, bad=WINDOW // 2)
    with pytest.raises(StalledError):
        await bench.fold(bad=200)


@pytest.mark.parametrize("source", [OPEN, UNUSED, GONE], ids=["open", "keys unused", "no longer configured"])
async def test_strangers_cannot_stop_the_worker(log: SqliteLog, source: Source) -> None:
    bench = Bench(log)

    await bench.fold(bad=2 * WINDOW, source=source)

    assert await bench.letters() == 2 * WINDOW
    assert bench.shard.position == 2 * WINDOW


async def test_a_share_of_one_lets_everything_become_a_dead_letter(log: SqliteLog) -> None:
    bench = Bench(log, share=1)

    await bench.fold(bad=2 * WINDOW)

    assert await bench.letters() == 2 * WINDOW
