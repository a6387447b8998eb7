import asyncio
import json
import subprocess
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse

from monitor.event import Channel, Event, Vendor
from monitor.log.sqlite import SqliteLog
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


async def keep(path: Path, lines: list[tuple[float, str, bytes]]) -> None:
    log = await SqliteLog.open(path)
    for received, job_id, body in lines:
        event = Event(
            log.next_id(), Vendor.METASTUDIO, "one", job_id, Channel.CALLBACK, "any", received, None, body
        )
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


def test_until_a_moment_the_stream_is_as_it_was_then(kept: Path) -> None:
    (row,) = json.loads(replay(kept, "--json", "--to", str(BEGUN + 165)).stdout)
    assert (row["status"], row["outcome"]) == ("down", None)


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
    series = lost / "series.txt"
    done = replay(lost, "--openmetrics", str(series), "--step", "10", "--job", "first")
    assert done.returncode == 0, done.stderr
    families = {one.name: one for one in parse(series.read_text())}  # type: ignore[no-untyped-call]  # it has no annotations
    assert {s.labels["job_id"] for s in families["livestream_status"].samples} == {"first"}
    assert families["livestream_outage_seconds"].samples[-1].value == 200


def test_series_are_written_as_they_would_have_been_scraped(kept: Path) -> None:
    series = kept / "series.txt"
    done = replay(kept, "--openmetrics", str(series), "--step", "10", "--to", str(BEGUN + 460), "--json")
    assert done.returncode == 0, done.stderr
    families = {one.name: one for one in parse(series.read_text())}  # type: ignore[no-untyped-call]  # it has no annotations
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


def test_an_id_with_a_line_separator_of_unicode_stays_on_its_line(folder: Path) -> None:
    job_id = "one\u2028two\u2029three"
    asyncio.run(keep(folder / "monitor.db", [told(0, job_id, "CONNECTED")]))
    series = folder / "series.txt"
    done = replay(folder, "--openmetrics", str(series), "--step", "10")
    assert done.returncode == 0, done.stderr
    families = list(parse(series.read_text()))  # type: ignore[no-untyped-call]  # it has no annotations
    told_of = {sample.labels.get("job_id") for family in families for sample in family.samples}
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
