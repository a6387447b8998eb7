"""A whole run over real HTTP: its exit code, its truth file, and how it ends."""

import contextlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from threading import Thread

import pytest

from monitor.config import AdminSettings, Settings
from monitor.errors import ConfigurationError, MonitorError
from monitor.event import Vendor, canonical_job_id
from monitor.simulator.options import Scenario, SimulationOptions
from monitor.simulator.run import SimulationError, simulate
from tests.end_to_end.running import wait_for


class Accepting(ThreadingHTTPServer):
    """Answers 200 to everything, and keeps the paths and the bodies."""

    daemon_threads = True
    request_queue_size = 128
    paths: list[str]
    bodies: list[bytes]

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: Accepting
    protocol_version = "HTTP/1.1"
    status = 200

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.bodies.append(body)
        self.server.paths.append(self.path)
        self.send_response(self.status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""


@contextlib.contextmanager
def running(handler: type[Handler]) -> Iterator[Accepting]:
    with Accepting(("127.0.0.1", 0), handler) as server:
        server.paths, server.bodies = [], []
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def answering(status: int) -> type[Handler]:
    return type("Answering", (Handler,), {"status": status})


@pytest.fixture
def service() -> Iterator[Accepting]:
    with running(Handler) as server:
        yield server


def aimed(options: SimulationOptions, address: str, **changes: object) -> SimulationOptions:
    settings = Settings(sources=options.settings.sources, admin=AdminSettings(listen=address))
    aimed = replace(options, settings=settings, target=f"http://{address}", duration=100.0, speed=200.0)
    return replace(aimed, **changes)  # type: ignore[arg-type]


def test_a_run_posts_where_it_should_and_writes_the_truth(
    options: SimulationOptions, service: Accepting, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = aimed(options, service.address, truth=tmp_path / "truth.json", scenario=Scenario.STEADY)
    simulate(chosen)
    truth = json.loads((tmp_path / "truth.json").read_text())
    assert (truth["seed"], truth["scenario"], len(truth["streams"])) == (1, "steady", 20)
    assert truth["totals"]["events"]["accepted"] == len(service.paths)
    assert {path.partition("?")[0].split("/")[1] for path in service.paths} == {"callbacks", "rtc", "api"}
    assert all(stream["outages"] == 0 and stream["unacknowledged"] == [] for stream in truth["streams"])
    said = json.loads(capsys.readouterr().out)
    assert said["acknowledged"] == len(service.paths)


def test_a_program_that_asks_for_no_json_gets_a_line_for_each_number(
    options: SimulationOptions, service: Accepting, capsys: pytest.CaptureFixture[str]
) -> None:
    simulate(aimed(options, service.address, json_output=False, streams=2))
    lines = capsys.readouterr().out.splitlines()
    assert f"acknowledged\t{len(service.paths)}" in lines
    assert "streams\t2" in lines


def test_a_registration_that_nobody_takes_fails_the_run_clearly(
    options: SimulationOptions, service: Accepting
) -> None:
    # A port that is bound and doesn't listen.
    with Accepting(("127.0.0.1", 0), Handler, bind_and_activate=False) as silent:
        silent.server_bind()
        away = AdminSettings(listen=f"127.0.0.1:{silent.server_address[1]}")
        chosen = aimed(options, service.address, attempts=1)
        settings = chosen.settings.model_copy(update={"admin": away})
        with pytest.raises(SimulationError, match=r"could not be registered.*\[admin\] listen"):
            simulate(replace(chosen, settings=settings))


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (404, r"\(status 404\): is the service running, and is \[admin\] listen"),
        (503, r"\(status 503\): the service can keep nothing now"),
    ],
)
def test_a_registration_that_is_refused_says_how(
    options: SimulationOptions, service: Accepting, status: int, told: str
) -> None:
    with running(answering(status)) as refusing:
        chosen = aimed(options, service.address, attempts=1)
        settings = chosen.settings.model_copy(update={"admin": AdminSettings(listen=refusing.address)})
        with pytest.raises(SimulationError, match=told):
            simulate(replace(chosen, settings=settings))


def test_a_service_that_can_keep_nothing_for_a_while_is_waited_for_once_it_has_taken_a_registration(
    options: SimulationOptions, service: Accepting
) -> None:
    arrivals = count()

    def first_job_has_gone_on() -> bool:
        taken = [canonical_job_id(json.loads(body)["response"]["job_id"]) for body in admin.bodies[:1]]
        # Its callbacks spell it in several ways.
        told = [body.decode().replace("-", "").lower() for body in service.bodies]
        return any(job_id in body for job_id in taken for body in told)

    class Restarting(Handler):
        def do_POST(self) -> None:
            number = next(arrivals)
            if number > 0:
                # Several register at the same time. Once the first goes on, it is known that one was taken.
                wait_for(first_job_has_gone_on, what="the first job's callbacks")
            self.status = 503 if 0 < number < 5 else 202
            super().do_POST()

    with running(Restarting) as admin:
        chosen = aimed(options, service.address, attempts=1, streams=8)
        settings = chosen.settings.model_copy(update={"admin": AdminSettings(listen=admin.address)})
        simulate(replace(chosen, settings=settings))
    assert len(admin.paths) > 5


def test_a_run_that_fails_writes_the_truth_of_what_had_arrived(
    options: SimulationOptions, service: Accepting, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    truth = tmp_path / "truth.json"
    truth.write_text("of another run")
    with Accepting(("127.0.0.1", 0), Handler, bind_and_activate=False) as silent:
        silent.server_bind()
        away = AdminSettings(listen=f"127.0.0.1:{silent.server_address[1]}")
        chosen = aimed(options, service.address, truth=truth, duration=20.0)
        settings = chosen.settings.model_copy(update={"admin": away})
        with pytest.raises(SimulationError, match="could not be registered"):
            simulate(replace(chosen, settings=settings))
    assert json.loads(truth.read_text())["totals"]["events"]["accepted"] == len(service.paths) > 0
    assert json.loads(capsys.readouterr().out)["acknowledged"] == len(service.paths)


def test_a_run_takes_no_proxy_of_the_environment(
    options: SimulationOptions, service: Accepting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    simulate(aimed(options, service.address, streams=2))
    assert service.paths


def test_a_run_of_which_nothing_arrived_has_failed(
    options: SimulationOptions, service: Accepting, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    truth = tmp_path / "truth.json"
    sugar = tuple(source for source in options.settings.sources if source.vendor is Vendor.SOFTSUGAR)
    with Accepting(("127.0.0.1", 0), Handler, bind_and_activate=False) as silent:
        silent.server_bind()
        address = f"127.0.0.1:{silent.server_address[1]}"
        quiet = replace(options, settings=Settings(sources=sugar))
        told = r"None of \d+ callbacks was accepted \(unreachable\): is the service running"
        with pytest.raises(SimulationError, match=told):
            simulate(aimed(quiet, address, attempts=1, streams=3, truth=truth))
    # What nobody was told of is not for the service to show.
    assert json.loads(truth.read_text())["streams"] == []
    assert json.loads(capsys.readouterr().out)["unreachable"] >= 3
    assert service.paths == []


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (401, r"\(status 401\): are the keys, public_url and clock of this configuration those of the"),
        (403, r"\(status 403\): is this machine's address in the source's allow_networks"),
        (404, r"\(status 404\): are the sources of this configuration those of the service"),
        (503, r"\(status 503\): the service can keep nothing now"),
        (500, r"\(status 500\): is the service running, and is --target"),
    ],
)
def test_a_run_of_which_only_registrations_arrived_has_failed_and_says_what_to_look_at(
    options: SimulationOptions, service: Accepting, status: int, told: str
) -> None:
    with running(answering(status)) as refusing:
        target = f"http://{refusing.address}"
        with pytest.raises(SimulationError, match=r"None of \d+ callbacks was accepted " + told):
            simulate(aimed(options, service.address, target=target, attempts=1, streams=5))
    assert {path.split("/")[1] for path in service.paths} == {"api"}


def test_a_truth_file_that_cannot_be_written_is_told_before_anything_is_sent(
    options: SimulationOptions, service: Accepting, tmp_path: Path
) -> None:
    truth = tmp_path / "nowhere" / "truth.json"
    with pytest.raises(MonitorError, match=r"truth\.json: can't be written: No such file"):
        simulate(aimed(options, service.address, truth=truth))
    assert service.paths == []


def test_without_a_source_there_is_nothing_to_speak_for(options: SimulationOptions) -> None:
    with pytest.raises(ConfigurationError, match="sources"):
        simulate(replace(options, settings=Settings()))


def test_ctrl_c_ends_a_run_that_has_no_end_and_the_truth_is_written(
    service: Accepting, tmp_path: Path
) -> None:
    config = tmp_path / "monitor.toml"
    config.write_text(
        f'[admin]\nlisten = "{service.address}"\n[[sources]]\nname = "open"\nvendor = "metastudio"\n'
        'public_url = "https://hooks.example.com/callbacks/open"\n'
    )
    command = [sys.executable, "-m", "monitor", "simulate", "--config", str(config), "--json"]
    command += ["--target", f"http://{service.address}", "--streams", "3", "--speed", "100"]
    command += ["--truth", str(tmp_path / "truth.json")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        deadline = time.monotonic() + 30
        while not service.paths and process.poll() is None:
            assert time.monotonic() < deadline, "waited 30 s for a callback"
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors.decode()
    truth = json.loads((tmp_path / "truth.json").read_text())
    assert json.loads(output)["acknowledged"] == truth["totals"]["events"]["accepted"] > 0
