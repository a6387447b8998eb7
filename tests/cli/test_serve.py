import asyncio
import json
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from monitor.worker.sources import UNHEARD
from tests.cli.running import run_beside, start
from tests.ports import free_port

CONFIGURATION = """
[receiver]
listen = "127.0.0.1:0"

[admin]
listen = "127.0.0.1:0"

[clock]
speed = 20

[[sources]]
name = "one"
vendor = "softsugar"
public_url = "https://hooks.example.com/callbacks/one"
"""


@asynccontextmanager
async def serving(
    configuration: Path, *, role: str = "all"
) -> AsyncIterator[tuple[asyncio.subprocess.Process, dict[str, str]]]:
    """A running service, and what it said as it began to serve: its addresses."""
    process = await start("serve", "--role", role, config=configuration)
    assert process.stderr is not None
    try:
        async with asyncio.timeout(30):
            async for line in process.stderr:
                told = json.loads(line)
                if told["event"] == "serving":
                    yield process, told
                    break
            else:
                pytest.fail("the service ended before it served")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def write(folder: Path, text: str) -> Path:
    path = folder / "monitor.toml"
    path.write_text(text)
    return path


@pytest.fixture
def configuration(tmp_path: Path) -> Path:
    return write(tmp_path, CONFIGURATION)


async def test_the_service_takes_a_simulation_and_ends_with_0_when_told_to_stop(configuration: Path) -> None:
    async with serving(configuration) as (service, told):
        truth = configuration.parent / "truth.json"
        simulation = await start(
            *("simulate", "--target", f"{told['callbacks']}/", "--streams", "2", "--duration", "30"),
            *("--scenario", "steady", "--seed", "7", "--truth", str(truth), "--json"),
            config=configuration,
        )
        stdout, stderr = await simulation.communicate()

        assert (simulation.returncode, stderr) == (0, b"")
        answer = json.loads(stdout)
        assert answer["requests"] == answer["acknowledged"] > 0
        assert json.loads(truth.read_text())

        service.send_signal(signal.SIGTERM)
        assert await service.wait() == 0


async def test_a_check_beside_the_running_service_says_whose_live_streams_nobody_would_hear_any_more(
    tmp_path: Path,
) -> None:
    admin = free_port()
    ports = CONFIGURATION.replace('[admin]\nlisten = "127.0.0.1:0"', f'[admin]\nlisten = "127.0.0.1:{admin}"')
    configuration = write(tmp_path, ports)
    async with serving(configuration) as (_, told), httpx.AsyncClient() as client:
        for session, status in (("lives", 35), ("is over", 5)):
            body = {"sessionId": session, "status": status}
            (await client.post(f"{told['callbacks']}/callbacks/one", json=body)).raise_for_status()
        for _ in range(600):
            answer = await client.get(f"http://127.0.0.1:{admin}/api/streams")
            if answer.is_success and len(answer.json()["streams"]) == 2:
                break
            await asyncio.sleep(0.05)
        else:
            pytest.fail("the service shows no two streams within 30 s")

        async def warnings() -> list[str]:
            code, stdout, _ = await run_beside("check", "--json", config=configuration)
            assert code == 0
            return [warning for warning in json.loads(stdout)["warnings"] if "live streams" in warning]

        assert await warnings() == []
        write(tmp_path, ports.replace('name = "one"', 'name = "won"'))
        assert await warnings() == [f"1 live streams of 'one': {UNHEARD}"]


async def test_a_check_beside_the_running_service_finds_its_addresses_as_they_should_be(
    tmp_path: Path,
) -> None:
    receiver, admin = free_port(), free_port()
    ports = CONFIGURATION.replace(":0", f":{receiver}", 1).replace(":0", f":{admin}", 1)
    configuration = write(tmp_path, ports)
    async with serving(configuration):
        code, stdout, _ = await run_beside("check", config=configuration)

    assert code == 0
    assert f"ok\treceiver.listen\t127.0.0.1:{receiver} is a running service's\n" in stdout.decode()
    assert f"ok\tadmin.listen\t127.0.0.1:{admin} is a running service's\n" in stdout.decode()


@pytest.mark.parametrize(
    ("arguments", "text", "expected"),
    [
        (["serve", "--role", "worker"], "", "--role worker: "),
        (["serve", "--role", "web"], "", "--role web: "),
    ],
)
async def test_a_service_that_this_configuration_cannot_have_exits_2(
    arguments: list[str], text: str, expected: str, tmp_path: Path
) -> None:
    process = await start(*arguments, config=write(tmp_path, text + CONFIGURATION))
    stdout, stderr = await process.communicate()

    assert (process.returncode, stdout) == (2, b"")
    assert stderr.decode().startswith(expected)
    assert len(stderr.splitlines()) == 1


KAFKA_AWAY = '[log]\nbackend = "kafka"\npath = "spool.db"\n[kafka]\nbootstrap_servers = "127.0.0.1:1"\n'


@pytest.mark.parametrize(("role", "recovering"), [("all", 1), ("worker", 1), ("web", 1), ("receiver", 0)])
async def test_a_process_that_starts_while_kafka_is_away_says_whether_streams_are_missing(
    role: str, recovering: int, tmp_path: Path
) -> None:
    configuration = write(tmp_path, KAFKA_AWAY + CONFIGURATION)
    async with serving(configuration, role=role) as (_, told), httpx.AsyncClient() as client:
        page = await client.get(f"{told['operators']}/metrics")

    assert f"\nmonitor_recovering {recovering}.0\n" in page.text


@pytest.mark.parametrize("told", [signal.SIGTERM, signal.SIGINT])
async def test_a_service_that_is_told_to_stop_while_it_waits_for_kafka_ends_with_0(
    told: signal.Signals, tmp_path: Path
) -> None:
    asked = asyncio.Event()

    async def never_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await reader.read()
        writer.close()

    async with await asyncio.start_server(never_answer, "127.0.0.1", 0) as broker:
        port = broker.sockets[0].getsockname()[1]
        text = KAFKA_AWAY.replace("127.0.0.1:1", f"127.0.0.1:{port}") + CONFIGURATION
        process = await start("serve", config=write(tmp_path, text))
        async with asyncio.timeout(30):
            await asked.wait()
            process.send_signal(told)
            _, stderr = await process.communicate()

    assert process.returncode == 0
    assert json.loads(stderr.splitlines()[-1])["event"] == "stopped"


@pytest.mark.parametrize("role", ["all", "worker", "web"])
async def test_a_service_on_kafka_whose_address_is_taken_says_so_last(role: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = f"127.0.0.1:{other.getsockname()[1]}"
        text = CONFIGURATION.replace('[admin]\nlisten = "127.0.0.1:0"', f'[admin]\nlisten = "{taken}"')
        code, _, stderr = await run_beside("serve", "--role", role, config=write(tmp_path, KAFKA_AWAY + text))

    assert code == 2
    said = f"admin.listen: {taken} can't be listened on: Address already in use"
    assert stderr.splitlines()[-1] == said
