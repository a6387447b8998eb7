import asyncio
import json
from pathlib import Path

import pytest

from monitor.config import Source, load_settings
from monitor.dead_letters import opened, retry
from monitor.event import Channel, Decoded, Event, Stored, Vendor
from monitor.log.protocol import DeadLetter
from monitor.log.sqlite import SqliteLog
from monitor.vendors import registry
from tests.cli.letters import DECODABLE, letter
from tests.cli.running import run_beside

CONFIGURATION = """
[log]
path = "monitor.db"

[[sources]]
name = "one"
vendor = "softsugar"
public_url = "https://hooks.example.com/callbacks/one"
keys = ["Abc123def"]
"""

NOT_JSON = b'\xff{"sessionId" "stream_key": "a-push-key"'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "monitor.toml"
    path.write_text(CONFIGURATION)
    path.chmod(0o600)
    return tmp_path


async def keep(folder: Path, *letters: DeadLetter) -> None:
    log = await SqliteLog.open(folder / "monitor.db")
    await log.append((), letters)
    await log.close()


async def events_in(folder: Path) -> list[Stored]:
    log = await SqliteLog.open_reader(folder / "monitor.db")
    try:
        return await log.read(0, 100)
    finally:
        await log.close()


async def run(folder: Path, *arguments: str) -> tuple[int, bytes, str]:
    return await run_beside("dead-letters", *arguments, config=folder / "monitor.toml")


async def listed(folder: Path) -> list[int]:
    code, stdout, _ = await run(folder, "list", "--json")
    assert code == 0
    return [found["number"] for found in json.loads(stdout)]


async def test_letters_are_listed_newest_first_without_their_bodies(folder: Path) -> None:
    await keep(folder, letter(1, NOT_JSON), letter(2, NOT_JSON, job_id="job"))

    code, stdout, stderr = await run(folder, "list")

    assert (code, stderr) == (0, "")
    assert stdout.decode().splitlines() == [
        "2\t2023-11-14T22:13:22.250000Z\tone\tjob\tcallback\t\tnot_json\tThe body is not JSON.",
        "1\t2023-11-14T22:13:21.250000Z\tone\t\tcallback\t\tnot_json\tThe body is not JSON.",
    ]


async def test_a_list_that_was_cut_says_so(folder: Path) -> None:
    await keep(folder, *(letter(sequence, NOT_JSON) for sequence in range(1, 4)))

    _, cut, about = await run(folder, "list", "--limit", "2")
    _, whole, nothing = await run(folder, "list", "--limit", "4")

    assert (cut.count(b"\n"), about) == (
        2,
        "2 are shown; older ones, if any: --before 2, or a greater --limit\n",
    )
    assert (whole.count(b"\n"), nothing) == (3, "")


async def test_a_program_pages_through_letters_in_json(folder: Path) -> None:
    await keep(folder, *(letter(sequence, NOT_JSON) for sequence in range(1, 6)))

    _, first, _ = await run(folder, "list", "--json", "--limit", "2")
    _, second, _ = await run(folder, "list", "--json", "--limit", "2", "--before", "4")

    assert [found["number"] for found in json.loads(first)] == [5, 4]
    assert [found["number"] for found in json.loads(second)] == [3, 2]
    assert json.loads(first)[0] == {
        "number": 5,
        "id": "receiver-1-1-5",
        "vendor": "softsugar",
        "source": "one",
        "job_id": None,
        "channel": "callback",
        "type": None,
        "received": "2023-11-14T22:13:25.250000Z",
        "signed": "2023-11-14T22:13:20Z",
        "reason": "not_json",
        "detail": "The body is not JSON.",
        "bytes": len(NOT_JSON),
    }


async def test_a_shown_body_leaves_secrets_out(folder: Path) -> None:
    await keep(folder, letter(1, NOT_JSON))

    code, text, _ = await run(folder, "show", "1")
    _, as_json, _ = await run(folder, "show", "1", "--json")

    assert code == 0
    assert b"a-push-key" not in text
    assert text.decode().endswith('\n\n\\xff{"sessionId" "stream_key": "***"\n')
    assert json.loads(as_json)["body"] == '\\xff{"sessionId" "stream_key": "***"'


async def test_a_raw_body_is_shown_byte_for_byte(folder: Path) -> None:
    await keep(folder, letter(1, NOT_JSON))

    assert await run(folder, "show", "1", "--raw") == (0, NOT_JSON, "")


async def test_a_number_that_is_not_there_exits_1(folder: Path) -> None:
    await keep(folder, letter(1, NOT_JSON))

    assert await run(folder, "show", "7") == (1, b"", "7: there is no dead letter of this number\n")


@pytest.mark.parametrize("arguments", [("show",), ("retry",), ("retry", "1"), ("list", "--before")])
async def test_a_number_that_no_letter_can_have_is_wrong_usage(
    folder: Path, arguments: tuple[str, ...]
) -> None:
    await keep(folder, letter(1, NOT_JSON))

    code, stdout, stderr = await run(folder, *arguments, str(2**63))
    assert (code, stdout) == (2, b"")
    assert "Error: Invalid value" in stderr


async def test_a_retried_letter_becomes_an_event_with_its_own_times(folder: Path) -> None:
    await keep(folder, letter(1, DECODABLE))

    assert await run(folder, "retry", "1") == (0, b"1 of 1 became events\n", "")

    (stored,) = await events_in(folder)
    assert stored.event == Event(
        stored.event.id,
        Vendor.SOFTSUGAR,
        "one",
        "session-1",
        Channel.CALLBACK,
        "session_status",
        1_700_000_001.25,
        1_700_000_000,
        DECODABLE,
    )
    assert await listed(folder) == []


async def test_a_retried_event_has_an_id_that_no_stream_has_passed(folder: Path) -> None:
    await keep(folder, letter(1, DECODABLE), letter(2, DECODABLE))

    await run(folder, "retry", "1")
    await run(folder, "retry", "2")

    first, second = [stored.event.id for stored in await events_in(folder)]
    assert first.receiver == second.receiver == "retry"
    assert (first.boot, first.sequence) < (second.boot, second.sequence)


async def test_two_that_retry_at_once_give_no_event_an_id_that_its_stream_has_passed(folder: Path) -> None:
    await keep(folder, *(letter(sequence, DECODABLE) for sequence in range(1, 7)))
    settings = load_settings(folder / "monitor.toml", {})
    async with opened(settings, to_retry=True) as first, opened(settings, to_retry=True) as second:
        for number, one in enumerate([first, second, second, first, first, second], start=1):
            assert (await retry(one.letters, number, settings.sources, one.next_id)).problem is None

    ids = [stored.event.id for stored in await events_in(folder)]
    assert {one.receiver for one in ids} == {"retry"}
    assert len(ids) == 6
    assert ids == sorted(set(ids))


async def test_what_still_cannot_be_decoded_stays_and_exits_1(folder: Path) -> None:
    await keep(folder, letter(1, NOT_JSON), letter(2, DECODABLE), letter(3, DECODABLE, source="gone"))

    code, stdout, stderr = await run(folder, "retry", "--all")

    assert (code, stdout) == (1, b"1 of 3 became events\n")
    assert stderr.splitlines()[0].startswith("1: not_json: ")
    assert stderr.splitlines()[1] == "3: the configuration has no softsugar source gone"
    assert await listed(folder) == [3, 1]


async def test_a_letter_at_which_the_decoder_still_fails_stays_and_keeps_no_other_from_being_retried(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode = registry.decode

    def failing(event: Event, source: Source) -> Decoded:
        if event.body == NOT_JSON:
            raise LookupError("hush")
        return decode(event, source)

    monkeypatch.setattr("monitor.dead_letters.registry.decode", failing)
    await keep(folder, letter(1, NOT_JSON), letter(2, DECODABLE))
    settings = load_settings(folder / "monitor.toml", {})
    async with opened(settings, to_retry=True) as one:
        failed, retried = [
            await retry(one.letters, number, settings.sources, one.next_id) for number in (1, 2)
        ]

    assert failed.problem is not None
    assert failed.problem.startswith(
        "decoder_failed: The decoder failed with LookupError at test_dead_letters"
    )
    assert retried.problem is None
    assert await listed(folder) == [1]


async def test_all_are_retried_in_the_order_in_which_they_came(folder: Path) -> None:
    await keep(folder, *(letter(sequence, DECODABLE) for sequence in range(1, 251)))

    code, stdout, _ = await run(folder, "retry", "--all", "--json")

    assert code == 0
    assert json.loads(stdout) == [{"number": number, "problem": None} for number in range(1, 251)]
    assert [stored.event.received for stored in await events_in(folder)] == [
        1_700_000_000.25 + sequence for sequence in range(1, 101)
    ]


async def test_letters_can_be_retried_while_the_service_has_the_log_open(folder: Path) -> None:
    running = await SqliteLog.open(folder / "monitor.db")
    try:
        await running.append((), [letter(1, DECODABLE)])

        code, _, stderr = await run(folder, "retry", "--all")
        async with asyncio.timeout(30):
            await running.wait_beyond(0)

        assert (code, stderr) == (0, "")
        assert [stored.event.job_id for stored in await running.read(0, 10)] == ["session-1"]
        after = Event(
            running.next_id(), Vendor.SOFTSUGAR, "one", "job", Channel.CALLBACK, "unknown", 1.0, None, b"{}"
        )
        await running.append([after])
        assert [stored.event for stored in await running.read(1, 10)] == [after]
    finally:
        await running.close()


async def test_without_a_log_the_command_says_so_and_makes_none(folder: Path) -> None:
    code, stdout, stderr = await run(folder, "list")

    assert (code, stdout) == (1, b"")
    assert stderr == f"{folder}/monitor.db: no log is there yet; the service makes it at its first start\n"
    assert not folder.joinpath("monitor.db").exists()
