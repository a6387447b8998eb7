"""Runs a real Prometheus and a real Alertmanager beside the service."""

import json
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.components import alertmanager, package_root, prometheus
from tests.end_to_end.running import http, wait_for
from tests.ports import free_port


@dataclass
class Program:
    """A server in a folder of its own. config: its configuration, in YAML. more: arguments."""

    folder: Path
    config: str
    more: tuple[str, ...] = ()
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its base URL."""
        return f"http://127.0.0.1:{self.port}"

    def command(self, config: Path) -> list[str]:
        """Return the command line."""
        raise NotImplementedError

    def start(self) -> None:
        """Start it and wait until it is ready."""
        self.folder.mkdir(parents=True, exist_ok=True)
        config = self.folder / "config.yaml"
        config.write_text(self.config)
        with (self.folder / "log").open("ab") as log:
            command = [*self.command(config), *self.more]
            root = package_root(Path(command[0]))
            self.process = subprocess.Popen(command, cwd=root, stdout=log, stderr=log)
        wait_for(self._is_ready, what=f"{self.url}; see {self.folder}/log")

    def stop(self) -> None:
        """End it politely, if it runs."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(timeout=30)

    def _is_ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.folder / "log").read_text()[-3000:]
        try:
            return http.get(f"{self.url}/-/ready").status_code == 200
        except httpx.HTTPError:
            return False


class Prometheus(Program):
    """Prometheus; its blocks are in `data`."""

    @property
    def data(self) -> Path:
        """Where its blocks are."""
        return self.folder / "data"

    def command(self, config: Path) -> list[str]:
        return [
            str(prometheus()),
            f"--config.file={config}",
            f"--storage.tsdb.path={self.data}",
            f"--web.listen-address=127.0.0.1:{self.port}",
        ]

    def query(self, expression: str, **more: float) -> list[dict[str, Any]]:
        """Return the result of an instant query, or with start, end and step that of a range."""
        kind = "query_range" if "start" in more else "query"
        answer = http.get(
            f"{self.url}/api/v1/{kind}", params={"query": expression, **more}, timeout=120
        ).json()
        assert answer["status"] == "success", (expression, answer)
        result: list[dict[str, Any]] = answer["data"]["result"]
        return result


class Alertmanager(Program):
    """Alertmanager, alone."""

    def command(self, config: Path) -> list[str]:
        return [
            str(alertmanager()),
            f"--config.file={config}",
            f"--storage.path={self.folder}/data",
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--cluster.listen-address=",
        ]

    def alerts(self) -> list[dict[str, Any]]:
        """Return what it knows of, silenced and inhibited alerts too."""
        found: list[dict[str, Any]] = json.loads(http.get(f"{self.url}/api/v2/alerts").text)
        return found
