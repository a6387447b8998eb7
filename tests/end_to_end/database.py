"""A real Prometheus that scrapes a running service every second, and what it answers."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.components import prometheus
from tests.end_to_end.running import http, wait_for
from tests.ports import free_port


@contextmanager
def scraping(folder: Path, port: int) -> Iterator[str]:
    """Run Prometheus in a new folder; yield its URL.

    Args:
        folder: where its files go.
        port: on the loopback, where the service exports its metrics.
    """
    own = free_port()
    folder.mkdir()
    config = folder / "prometheus.yaml"
    config.write_text(
        "global: {scrape_interval: 1s}\n"
        "scrape_configs:\n"
        "  - job_name: livestream-monitor\n"
        f"    static_configs: [{{targets: ['127.0.0.1:{port}']}}]\n"
    )
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            [
                str(prometheus()),
                f"--config.file={config}",
                f"--storage.tsdb.path={folder}/data",
                f"--web.listen-address=127.0.0.1:{own}",
            ],
            stdout=log,
            stderr=log,
        )
    try:
        url = f"http://127.0.0.1:{own}"
        wait_for(lambda: _answers(f"{url}/-/ready"), what="Prometheus")
        yield url
    finally:
        process.terminate()
        process.wait(timeout=30)


def ask(database: str, path: str, **parameters: str | float) -> Any:
    """Return the data of an answer of Prometheus's API.

    Raises:
        AssertionError: it could not answer; it says why.
    """
    answer = http.get(f"{database}/api/v1/{path}", params=parameters, timeout=30).json()
    assert answer["status"] == "success", f"{answer.get('error')}: {parameters}"
    return answer["data"]


def _answers(url: str) -> bool:
    try:
        return http.get(url).status_code == 200
    except httpx.HTTPError:
        return False
