"""What the runbooks tell somebody to type works, against a running service and a real Prometheus."""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import httpx
import pytest

from monitor.event import LinkState
from tests.end_to_end.observing import Prometheus
from tests.end_to_end.paging import ROOT, Stream, Watch
from tests.end_to_end.running import SOURCES, Service, http, wait_for
from tests.ports import free_port

# One line of servers for all of the file.
pytestmark = pytest.mark.xdist_group("operators")

RUNBOOKS = sorted((ROOT / "alerts" / "runbooks").glob("*.md"))
SOURCE, JOB = "metastudio-open", 'of the "runbooks"/1? #2 [3]'
IN_ADDRESS = quote(JOB, safe="")
IN_QUERY = JOB.replace('"', r"\"")


class Block(NamedTuple):
    """A query or commands of a runbook."""

    runbook: str
    language: str
    text: str


def blocks(language: str) -> list[Block]:
    return [
        Block(path.stem, language, text)
        for path in RUNBOOKS
        for text in re.findall(rf"```{language}\n(.*?)```", path.read_text(), re.DOTALL)
    ]


def typed(commands: str, folder: Path, **values: str) -> subprocess.CompletedProcess[str]:
    """Return what becomes of commands. folder: of this test. values: of the variables in them."""
    # The command by its name, as on a machine on which the service is installed.
    command = folder / "monitor"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m monitor "$@"\n')
    command.chmod(0o755)
    environment = os.environ | {"PATH": f"{folder}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT), **values}
    return subprocess.run(
        ["sh", "-eu", "-c", commands], env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def watch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watch]:
    one = Watch(tmp_path_factory.mktemp("runbooks"))
    one.start()
    stream = Stream(one, JOB)
    stream.tell(LinkState.CONNECTED)
    seen = f'livestream_status{{source="{SOURCE}",job_id="{IN_QUERY}",status="healthy"}} == 1'
    wait_for(lambda: one.prometheus.query(seen), what="the stream")
    yield one
    one.close()


@pytest.mark.parametrize("block", blocks("promql"), ids=lambda block: block.runbook)
def test_a_query_of_a_runbook_is_one_that_prometheus_answers(block: Block, watch: Watch) -> None:
    watch.prometheus.query(block.text.replace("$source", SOURCE).replace("$job", IN_QUERY))


@pytest.mark.parametrize("block", blocks("sh"), ids=lambda block: block.runbook)
def test_a_command_of_a_runbook_does_what_it_should(block: Block, watch: Watch, tmp_path: Path) -> None:
    # Whoever types it reads why a request was refused; here that is a failure.
    done = typed(
        block.text.replace("curl -sS", "curl -fsS"),
        tmp_path,
        MONITOR=watch.service.operators,
        RECEIVER=watch.service.callbacks,
        CONFIG=str(watch.service.config),
        SOURCE=SOURCE,
        JOB=IN_ADDRESS,
    )
    assert done.returncode == 0, done.stderr


NAMED = sorted(
    {
        (path.stem, command)
        for path in RUNBOOKS
        for command in re.findall(r"`(monitor [^`]+)`", path.read_text())
        # What stands above it with all that it needs is only named again.
        if path.stem != "README" and not re.search(rf"(?m)^{command} ", path.read_text())
    }
)


@pytest.mark.parametrize(("runbook", "command"), NAMED)
def test_a_command_that_a_runbook_names_can_be_typed_as_it_stands(
    runbook: str, command: str, watch: Watch, tmp_path: Path
) -> None:
    done = typed(command.replace("NUMBER", "1"), tmp_path, CONFIG=str(watch.service.config))
    # That there is no letter 1 is an answer; 2 says that it was typed in a wrong way.
    assert done.returncode in (0, 1), f"{runbook}: {done.stderr}"


@pytest.fixture(scope="module")
def recovering(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that waits for its Kafka, and so for its streams."""
    folder = tmp_path_factory.mktemp("recovering")
    away = f'[kafka]\nbootstrap_servers = "127.0.0.1:{free_port()}"\n'
    one = Service(folder, more=away, log='backend = "kafka"')

    def answers() -> bool:
        try:
            return http.get(f"{one.operators}/readyz").status_code == 503
        except httpx.HTTPError:
            return False

    one.launch()
    wait_for(answers, what=f"an answer; see {folder}/serve.log")
    yield one
    one.close()


STATES = sorted(
    {line for block in blocks("sh") for line in re.findall(r".*MONITOR/(?:readyz|api).*", block.text)}
)


@pytest.mark.parametrize("request_line", STATES)
def test_a_request_of_a_runbook_shows_why_a_service_refuses_it(
    request_line: str, recovering: Service, tmp_path: Path
) -> None:
    done = typed(request_line, tmp_path, MONITOR=recovering.operators, SOURCE=SOURCE, JOB=IN_ADDRESS)
    assert re.search("recovering|not available", done.stdout), done.stderr


CHECKS = [block for block in blocks("sh") if "monitor check" in block.text]


@pytest.mark.parametrize("block", CHECKS, ids=lambda block: block.runbook)
def test_the_check_of_a_runbook_names_an_address_that_another_program_has(
    block: Block, tmp_path: Path
) -> None:
    (check,) = (line for line in block.text.splitlines() if "monitor check" in line)
    config = tmp_path / "monitor.toml"
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        config.write_text(f'[log]\npath = "log.db"\n[receiver]\nlisten = "{address}"\n{SOURCES}')
        done = typed(check, tmp_path, CONFIG=str(config))
    assert done.returncode == 1
    assert f"{address} can't be listened on" in done.stdout


def test_the_queries_about_the_stream_find_it(watch: Watch) -> None:
    asked = [block for block in blocks("promql") if 'source="$source",job_id="$job"} == 1' in block.text]
    found = [
        block.runbook
        for block in asked
        if watch.prometheus.query(block.text.replace("$source", SOURCE).replace("$job", IN_QUERY))
    ]
    assert "LivestreamStuckConnecting" in found


def test_the_runbook_of_an_incident_names_each_stream_that_has_a_part_in_it(
    watch: Watch, tmp_path: Path
) -> None:
    dark, given_up = Stream(watch, "dark"), Stream(watch, "given-up")

    def named() -> set[str]:
        given = {
            found["metric"].get("job_id", "")
            for block in blocks("promql")
            if block.runbook == "LivestreamVendorIncident"
            for found in watch.prometheus.query(block.text.replace("$source", SOURCE))
        }
        out = [
            typed(block.text, tmp_path, MONITOR=watch.service.operators, SOURCE=SOURCE).stdout
            for block in blocks("sh")
            if block.runbook == "LivestreamVendorIncident"
        ]
        return given | set(re.findall(r'"job_id":"([^"]*)"', "".join(out)))

    for stream in (dark, given_up):
        stream.tell(LinkState.CONNECTED)
        stream.tell(LinkState.DISCONNECTED)
    given_up.tell(LinkState.END)
    wait_for(lambda: {dark.job_id, given_up.job_id} <= named(), what="both")
    dark.tell(LinkState.CONNECTED)


def test_the_example_of_a_prometheus_tells_the_watchdogs_runbook_that_alertmanager_is_away(
    tmp_path: Path,
) -> None:
    example = ROOT / "deploy" / "prometheus" / "prometheus.yaml"
    one = Prometheus(tmp_path, "", more=("--rules.alert.resend-delay=1s",))
    config = example.read_text().replace("15s", "1s").replace("../../alerts", f"{ROOT}/alerts")
    for usual, port in ((9090, one.port), (9093, free_port()), (9108, free_port())):
        config = config.replace(f"127.0.0.1:{usual}", f"127.0.0.1:{port}")
    one.config = config
    (asked,) = (block.text for block in blocks("promql") if "prometheus_notifications" in block.text)
    one.start()
    try:
        wait_for(lambda: one.query(f"{asked} > 0"), what="what keeps alerts from Alertmanager")
    finally:
        one.stop()
