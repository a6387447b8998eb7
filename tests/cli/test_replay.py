import asyncio
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse

from monitor.config import load_settings
from monitor.event import Channel, Event, Vendor
from monitor.health.fold import fold
from monitor.health.stream import StreamState
from monitor.log.sqlite import SqliteLog
from monitor.replay import Events, Period, opened, report
from monitor.vendors import registry
from tests.cli.running import run

BEGUN = 1_750_000_000.0

CONFIGURATION = """
[log]
path = "monitor.db"

[health]
down_after_seconds = 60

[[sources]]
name = "one"
vendor = "metastudio"
public_url = "https://hooks.example.com/callbacks/one"
"""

TOLD = [(0, "CONNECTED"), (100, "DISCONNECTED"), (190, "CONNECTED"), (400, "END")]


def told(seconds: float, job_id: str, state: str) -> tuple[float, str, bytes]:
    message = json.dumps({"job_id": job_id, "stream_key": "k", "output_url": "rtmp://x", "state": state})
    body = {"event_type": "RTMP_STREAM_STATE_CHANGE", "message": message}
    return BEGUN + seconds, job_id, json.dumps(body).encode()


async def keep(path: Path, lines: list[tuple[float, str, bytes]], vendor: Vendor = Vendor.METASTUDIO) -> None:
    log = await SqliteLog.open(path)
    for received, job_id, body in lines:
        event = Event(log.next_id(), vendor, "one", job_id, Channel.CALLBACK, "any", received, None, body)
        await log.append([event])
    await log.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "monitor.toml").write_text(CONFIGURATION)
    return tmp_path


@pytest.fixture
def kept(folder: Path) -> Path:
    lines = [told(seconds, "first", state) for seconds, state in TOLD]
    lines += [told(450, "second", "CONNECTED"), (BEGUN + 455, "second", b"not JSON")]
    asyncio.run(keep(folder / "monitor.db", lines))
    return folder


def replay(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run("replay", *arguments, config=folder / "monitor.toml")


def written(folder: Path, *arguments: str) -> dict[str, Metric]:
    """Return the families of the series that a replay writes, by name."""
    series = folder / "series.txt"
    done = replay(folder, "--openmetrics", str(series), *arguments)
    assert done.returncode == 0, done.stderr
    return families_of(series)


def families_of(series: Path) -> dict[str, Metric]:
    """Return the families of a file, by name."""
    return {one.name: one for one in parse(series.read_text())}  # type: ignore[no-untyped-call]  # it has no annotations


def test_each_stream_is_reported_as_it_was_at_the_end(kept: Path) -> None:
    done = replay(kept, "--json")
    assert done.returncode == 0, done.stderr
    first, second = json.loads(done.stdout)
    assert (first["job_id"], first["outcome"], first["outages"], first["outage_seconds"]) == (
        "first",
        "completed",
        1,
        90.0,
    )
    assert (second["job_id"], second["status"]) == ("second", "healthy")
    assert done.stderr == "1 events could not be decoded, and were left out\n"


@pytest.mark.parametrize("faulty", ["monitor.replay.registry.decode", "monitor.replay.fold"])
async def test_an_event_at_which_the_decoder_or_the_fold_fails_is_left_out_as_the_worker_leaves_it_out(
    kept: Path, monkeypatch: pytest.MonkeyPatch, faulty: str
) -> None:
    works = registry.decode if faulty.endswith("decode") else fold

    def failing(told: Event | StreamState, *rest: Any) -> Any:
        if told.job_id == "first":
            raise LookupError("hush")
        return works(told, *rest)  # type: ignore[arg-type]  # as it was called

    monkeypatch.setattr(faulty, failing)
    settings = load_settings(kept / "monitor.toml", {})
    async with opened(settings) as archive:
        events = Events(archive, settings, Period(), lambda _: None)
        rows = await report(events, settings, Period())

    assert [row.status for row in rows if row.job_id == "second"] == ["healthy"]
    assert events.undecodable == 1
    assert [fault.partition(":")[0] for fault in events.faulty] == ["LookupError at test_replay.py"]
    assert events.faulty.total() == len(TOLD)


def test_the_table_gives_times_that_a_person_reads_and_json_those_for_programs(kept: Path) -> None:
    done, as_json = replay(kept, "--job", "first"), replay(kept, "--job", "first", "--json")

    assert done.stdout.split("\t")[3:6] == ["ended", "2025-06-15T15:13:20Z", "completed"]
    assert json.loads(as_json.stdout)[0]["since"] == BEGUN + 400


@pytest.mark.parametrize(
    ("arguments", "jobs"),
    [
        (["--job", "second"], ["second"]),
        (["--to", str(BEGUN + 300)], ["first"]),
        (["--from", str(BEGUN + 420)], ["second"]),
        (["--from", "2025-06-15T15:13:20Z"], ["first", "second"]),
        # It has said nothing since, and isn't over.
        (["--from", str(BEGUN + 1000)], ["second"]),
    ],
)
def test_a_part_of_the_log_is_chosen_by_time_and_stream(
    kept: Path, arguments: list[str], jobs: list[str]
) -> None:
    assert [row["job_id"] for row in json.loads(replay(kept, "--json", *arguments).stdout)] == jobs


@pytest.mark.parametrize("arguments", [["--job", "third"], ["--to", str(BEGUN - 1)]])
def test_that_there_is_no_such_stream_is_said(kept: Path, arguments: list[str]) -> None:
    done = replay(kept, "--json", *arguments)
    assert (done.returncode, json.loads(done.stdout)) == (0, [])
    assert "the log holds no stream that was asked for\n" in done.stderr


@pytest.mark.parametrize("arguments", [["--job", "third"], ["--step", "86400"]])
def test_that_no_series_has_a_sample_is_said(kept: Path, arguments: list[str]) -> None:
    done = replay(kept, "--openmetrics", str(kept / "series.txt"), *arguments)
    assert done.returncode == 0
    assert (
        "no sample: the log holds nothing that was asked for at a whole multiple of --step\n" in done.stderr
    )


def test_until_a_moment_the_stream_is_as_it_was_then(kept: Path) -> None:
    (row,) = json.loads(replay(kept, "--json", "--to", str(BEGUN + 165)).stdout)
    assert (row["status"], row["outcome"]) == ("down", None)


def test_what_came_at_the_last_moment_of_a_period_is_in_it(kept: Path) -> None:
    (row,) = json.loads(replay(kept, "--json", "--to", str(BEGUN + 100)).stdout)
    assert (row["status"], row["outages"]) == ("degraded", 1)


@pytest.fixture
def lost(folder: Path) -> Path:
    lines = [
        told(0, "first", "CONNECTED"),
        told(100, "first", "DISCONNECTED"),
        told(300, "other", "CONNECTED"),
    ]
    asyncio.run(keep(folder / "monitor.db", lines))
    return folder


def test_one_stream_alone_is_reported_as_it_was_at_the_end_of_the_log(lost: Path) -> None:
    (row,) = json.loads(replay(lost, "--json", "--job", "first").stdout)
    assert (row["status"], row["outage_seconds"]) == ("down", 200.0)
    assert row in json.loads(replay(lost, "--json").stdout)


def test_the_series_of_one_stream_alone_reach_to_the_end_of_the_log(lost: Path) -> None:
    families = written(lost, "--step", "10", "--job", "first")
    assert {s.labels["job_id"] for s in families["livestream_status"].samples} == {"first"}
    # As it would have been scraped: of the last second nobody knew yet.
    assert families["livestream_outage_seconds"].samples[-1].value == 199


def test_series_are_written_as_they_would_have_been_scraped(kept: Path) -> None:
    series = kept / "series.txt"
    done = replay(kept, "--openmetrics", str(series), "--step", "10", "--to", str(BEGUN + 460), "--json")
    assert done.returncode == 0, done.stderr
    families = families_of(series)
    down = {
        float(sample.timestamp) - BEGUN
        for sample in families["livestream_status"].samples
        if sample.labels["status"] == "down" and sample.value == 1 and sample.timestamp is not None
    }
    assert down == {160.0, 170.0, 180.0}
    assert "monitor_callbacks" not in families
    samples = sum(len(family.samples) for family in families.values())
    assert json.loads(done.stdout) == {"pages": 47, "samples": samples}
    assert [path.name for path in kept.glob(".replay-*")] == []


def test_samples_stand_at_whole_steps_within_the_period_first_and_last_included(kept: Path) -> None:
    since = (BEGUN // 11 + 10) * 11
    families = written(kept, "--step", "11", "--from", str(since), "--to", str(since + 110))
    moments = {float(sample.timestamp or 0) for sample in families["livestream_status"].samples}
    assert moments == {since + 11 * number for number in range(11)}


def test_samples_of_small_steps_stand_at_whole_multiples_however_many_went_before(kept: Path) -> None:
    families = written(kept, "--step", "0.1", "--from", str(BEGUN + 459), "--to", str(BEGUN + 460))
    times = [float(sample.timestamp or 0) for sample in families["livestream_status"].samples]
    assert {round(time - BEGUN, 4) for time in times} == {round(459 + number / 10, 4) for number in range(11)}


def test_series_of_a_stream_go_when_they_would_have_gone_and_streams_are_counted(kept: Path) -> None:
    config = kept / "monitor.toml"
    config.write_text(config.read_text().replace("[health]", "[health]\nkeep_ended_seconds = 30"))
    families = written(kept, "--step", "10", "--to", str(BEGUN + 500))
    first = [s.timestamp for s in families["livestream_status"].samples if s.labels["job_id"] == "first"]
    assert max(float(at or 0) for at in first) == BEGUN + 430
    healthy = {
        float(sample.timestamp or 0) - BEGUN: sample.value
        for sample in families["monitor_streams"].samples
        if sample.labels["status"] == "healthy"
    }
    assert [healthy[seconds] for seconds in (50.0, 150.0, 250.0, 440.0, 460.0)] == [1, 0, 1, 0, 1]


def test_a_stream_that_is_never_heard_of_again_is_lost_in_report_and_series(lost: Path) -> None:
    until = str(BEGUN + 100_000)
    rows = json.loads(replay(lost, "--json", "--to", until).stdout)
    assert [row["outcome"] for row in rows] == ["lost", "lost"]
    families = written(lost, "--step", "3600", "--to", until)
    ends = families["livestream_end_timestamp_seconds"].samples
    assert {(sample.labels["job_id"], sample.labels["outcome"]) for sample in ends} == {
        ("first", "lost"),
        ("other", "lost"),
    }


def test_errors_that_a_vendor_told_are_counted_in_the_series_from_0_on(folder: Path) -> None:
    config = folder / "monitor.toml"
    config.write_text(config.read_text().replace('"metastudio"', '"softsugar"'))
    errors = [(0, {"status": 1}), (30, {"status": 2, "code": 10009})]
    told = [(BEGUN + at, "s", json.dumps({"sessionId": "s", **said}).encode()) for at, said in errors]
    asyncio.run(keep(folder / "monitor.db", told, Vendor.SOFTSUGAR))
    families = written(folder, "--step", "10")
    counted = families["monitor_vendor_errors"].samples
    assert [s.value for s in counted if s.labels["code"] == "10009"] == [1]
    quota = [s.value for s in counted if s.labels["category"] == "quota" and s.labels["code"] != "10009"]
    assert quota
    assert set(quota) == {0}


def test_series_go_to_where_a_link_points_and_the_link_stays(kept: Path) -> None:
    series, link = kept / "series.txt", kept / "link"
    link.symlink_to(series)
    assert replay(kept, "--openmetrics", str(link), "--step", "10").returncode == 0
    assert link.is_symlink()
    assert "livestream_status" in families_of(series)


def test_series_go_through_a_pipe_and_the_pipe_stays(kept: Path) -> None:
    pipe = kept / "pipe"
    os.mkfifo(pipe)
    # Into a file: nobody reads what comes through before the command has ended.
    with (
        (kept / "series.txt").open("wb") as came,
        subprocess.Popen(["cat", str(pipe)], stdout=came) as reader,
    ):
        try:
            done = replay(kept, "--openmetrics", str(pipe), "--step", "10")
            assert (done.returncode, pipe.is_fifo()) == (0, True)
            reader.wait(timeout=30)
        finally:
            reader.kill()
    assert "livestream_status" in families_of(kept / "series.txt")


@pytest.mark.parametrize("stdout", ["/dev/stdout", "-"])
@pytest.mark.parametrize("arguments", [(), ("--json",)])
def test_series_that_go_to_stdout_are_all_that_goes_there(
    kept: Path, arguments: tuple[str, ...], stdout: str
) -> None:
    done = replay(kept, "--openmetrics", stdout, "--step", "10", *arguments)

    assert done.returncode == 0
    assert done.stdout.endswith("# EOF\n")
    assert "samples" in done.stderr
    assert not (kept / "-").exists()


def test_a_file_is_left_as_it_was_where_the_log_cannot_be_opened(kept: Path) -> None:
    series = kept / "series.txt"
    series.write_text("as it was")
    (kept / "monitor.db").write_bytes(b"no log of ours")
    assert replay(kept, "--openmetrics", str(series)).returncode == 1
    assert series.read_text() == "as it was"


def test_an_id_with_a_line_separator_of_unicode_stays_on_its_line(folder: Path) -> None:
    job_id = "one\u2028two\u2029three"
    asyncio.run(keep(folder / "monitor.db", [told(0, job_id, "CONNECTED")]))
    families = written(folder, "--step", "10")
    told_of = {sample.labels.get("job_id") for family in families.values() for sample in family.samples}
    assert told_of - {None} == {job_id}


def test_a_log_that_isnt_there_is_said_in_a_sentence(folder: Path) -> None:
    done = replay(folder)
    assert done.returncode == 1
    assert done.stderr.endswith("monitor.db: no log is there yet; the service makes it at its first start\n")


@pytest.mark.parametrize("time", ["yesterday", "2025-13-01", "nan", "inf", "1e300", "-1"])
def test_a_time_that_is_none_is_wrong_usage(kept: Path, time: str) -> None:
    done = replay(kept, "--from", time)
    assert done.returncode == 2
    assert "Unix seconds" in done.stderr


def test_an_end_before_the_beginning_is_wrong_usage(kept: Path) -> None:
    done = replay(kept, "--from", str(BEGUN + 1), "--to", str(BEGUN))
    assert done.returncode == 2
    assert "is before --from" in done.stderr


def test_a_file_that_cant_be_written_is_said_in_a_sentence(kept: Path) -> None:
    done = replay(kept, "--openmetrics", str(kept / "nowhere" / "series.txt"))
    assert done.returncode == 1
    assert "series.txt: can't be written: No such file or directory" in done.stderr
