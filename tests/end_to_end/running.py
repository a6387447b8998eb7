"""Runs the real service and the real simulator as processes of their own, as a user would."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.ports import free_port

MONITOR = [sys.executable, "-m", "monitor"]

SOURCES = """
[[sources]]
name = "metastudio-signed"
vendor = "metastudio"
public_url = "https://hooks.example.com/callbacks/metastudio-signed"
auth_type = "MSS_A_HEAD"
keys = ["GCTbw44s6MPLh4GqgDpnfuFHgy25Enly"]
rtc_token = "a-token-for-relays-of-tests"

[[sources]]
name = "metastudio-query"
vendor = "metastudio"
public_url = "https://hooks.example.com/callbacks/metastudio-query?room=1"
auth_type = "MSS_A"
keys = ["newKeyOfTests1", "oldKeyOfTests1"]
rtc_token = "another-token-for-relays"

[[sources]]
name = "metastudio-open"
vendor = "metastudio"
public_url = "https://hooks.example.com/callbacks/metastudio-open"

[[sources]]
name = "softsugar-signed"
vendor = "softsugar"
public_url = "https://hooks.example.com/callbacks/softsugar-signed"
keys = ["Abc123OfTests"]

[[sources]]
name = "softsugar-open"
vendor = "softsugar"
public_url = "https://hooks.example.com/callbacks/softsugar-open"
"""


PATIENCE_SECONDS = 60.0
"""For what comes at once, on a machine that is busy. A limit that a test promises is the test's own."""


def wait_for(condition: Callable[[], Any], *, seconds: float = PATIENCE_SECONDS, what: str) -> Any:
    """Return what `condition` returns once it is true.

    Raises:
        AssertionError: it wasn't within `seconds`.
    """
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.05)


http = httpx.Client(limits=httpx.Limits(max_keepalive_connections=0), timeout=PATIENCE_SECONDS)
"""For the requests of all tests, from any thread: to make a client takes longer than to ask, and a kept
connection would not notice that the process at its other end is a new one."""


def hastened(speed: float) -> str:
    """Return a section `[clock]`: from now on, so many seconds for each real one."""
    return f"[clock]\norigin = {time.time()}\nspeed = {speed}\n"


@dataclass
class Service:
    """`monitor serve` with a configuration in a folder of its own.

    log: more lines of `[log]`. more: other sections. role: what the process does; None: not said.
    """

    folder: Path
    more: str = ""
    log: str = ""
    role: str | None = None
    receiver: int = field(default_factory=free_port)
    admin: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def config(self) -> Path:
        """The configuration file."""
        return self.folder / "monitor.toml"

    @property
    def callbacks(self) -> str:
        """The base URL that faces the vendors."""
        return f"http://127.0.0.1:{self.receiver}"

    @property
    def operators(self) -> str:
        """The base URL that faces operators."""
        return f"http://127.0.0.1:{self.admin}"

    def write_config(self) -> None:
        """Write the configuration file."""
        self.config.write_text(
            f'{self.more}\n[log]\n{self.log}\npath = "{self.folder}/monitor.db"\n'
            f'[receiver]\nlisten = "127.0.0.1:{self.receiver}"\n'
            f'[admin]\nlisten = "127.0.0.1:{self.admin}"\n{SOURCES}'
        )

    def start(self) -> None:
        """Start the service and wait until it is ready."""
        self.launch()
        wait_for(self.is_ready, what=f"readiness; see {self.folder}/serve.log")

    def launch(self) -> None:
        """Start the service without waiting."""
        if not self.config.exists():
            self.write_config()
        with (self.folder / "serve.log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *MONITOR,
                    "serve",
                    "--config",
                    str(self.config),
                    *(["--role", self.role] if self.role else []),
                ],
                stderr=log,
                stdout=log,
                env={**os.environ, "COVERAGE_PROCESS_START": ""},
            )

    def is_ready(self) -> bool:
        """Whether /readyz says so; a service that died is an error."""
        assert self.process is not None
        assert self.process.poll() is None, (self.folder / "serve.log").read_text()
        try:
            return http.get(f"{self.operators}/readyz").status_code == 200
        except httpx.HTTPError:
            return False

    def page(self) -> str:
        """Return the metrics as text."""
        return http.get(f"{self.operators}/metrics", timeout=30).raise_for_status().text

    def total(self, name: str) -> float:
        """Return the sum of a family's samples over all label values."""
        return sum(
            sample.value
            for found in text_string_to_metric_families(self.page())
            for sample in found.samples
            if sample.name == name
        )

    def kill(self) -> None:
        """Kill the service with -9."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def pause(self) -> None:
        """Stop the process where it is."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused process go on."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def stop(self) -> int:
        """End the service politely and return its exit code."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(timeout=30)

    def hasten(self, speed: float) -> None:
        """Stop it, and launch it with a clock that runs faster from now on: what is due comes sooner."""
        self.stop()
        self.launch_with(hastened(speed))

    def launch_with(self, more: str) -> None:
        """Launch it with another section, before those that it has."""
        self.more = more + self.more
        self.write_config()
        self.launch()

    def close(self) -> None:
        """See that nothing is left running."""
        if self.process is not None and self.process.poll() is None:
            self.kill()


@dataclass
class Simulation:
    """`monitor simulate` against a service."""

    service: Service
    streams: int
    duration: float
    speed: float
    scenario: str
    seed: int
    attempts: int | None = None
    process: subprocess.Popen[bytes] | None = None

    @property
    def truth_file(self) -> Path:
        """Where the truth is written."""
        return self.service.folder / f"truth-{self.scenario}-{self.seed}.json"

    def start(self) -> None:
        """Start it without waiting for its end."""
        command = [*MONITOR, "simulate", "--config", str(self.service.config)]
        command += ["--target", self.service.callbacks, "--streams", str(self.streams)]
        command += ["--duration", str(self.duration), "--speed", str(self.speed)]
        command += ["--scenario", self.scenario, "--seed", str(self.seed), "--truth", str(self.truth_file)]
        if self.attempts is not None:
            command += ["--attempts", str(self.attempts)]
        with (self.service.folder / "simulate.log").open("ab") as log:
            self.process = subprocess.Popen(command, stderr=log, stdout=log)

    def is_running(self) -> bool:
        """Whether it still sends."""
        assert self.process is not None
        return self.process.poll() is None

    def stop(self) -> None:
        """Have it end now, and not only after its duration; `finish` returns the truth all the same."""
        assert self.process is not None
        self.process.send_signal(signal.SIGINT)

    def finish(self, *, seconds: float) -> dict[str, Any]:
        """Wait for its end and return the truth."""
        assert self.process is not None
        code = self.process.wait(timeout=seconds)
        assert code == 0, (self.service.folder / "simulate.log").read_text()[-2000:]
        truth: dict[str, Any] = json.loads(self.truth_file.read_text())
        return truth

    def close(self) -> None:
        """See that nothing is left running."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
