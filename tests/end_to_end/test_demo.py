"""`make demo`, as a newcomer runs it."""

import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.end_to_end.running import http

# A folder has one demo at a time.
pytestmark = pytest.mark.xdist_group("operators")

ROOT = Path(__file__).resolve().parent.parent.parent
LIMIT_SECONDS = 90.0


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    environment = os.environ | {
        # Of a real service, as the shell of its operator may have it.
        "MONITOR_LOG__PATH": str(tmp_path / "real.db"),
        "MONITOR_RECEIVER__LISTEN": "127.0.0.1:0",
        "MONITOR_ADMIN__LISTEN": "127.0.0.1:0",
    }
    with _make_demo(environment) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)


def _make_demo(environment: dict[str, str]) -> subprocess.Popen[str]:
    # A session of its own is what a terminal would give it: one process group that Ctrl-C reaches.
    return subprocess.Popen(
        ["make", "--no-print-directory", "demo"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def _announcement(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("Ctrl-C"):
            return "".join(lines)
    pytest.fail(f"make demo ended without an announcement:\n{''.join(lines)}")


def _address(announcement: str, what: str) -> str:
    found = re.search(rf"^  {what} +(http://\S+)$", announcement, re.MULTILINE)
    assert found, announcement
    return found[1]


def _descendants(process_id: int) -> set[int]:
    """Return the process and all that it has started, by their ids."""
    parents = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            after_name = status.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        parents[int(status.parent.name)] = int(after_name[1])
    found = {process_id}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def _refuses_connections(url: str) -> bool:
    parts = httpx.URL(url)
    with socket.socket() as probe:
        return probe.connect_ex((parts.host, parts.port or 80)) != 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_the_demo_shows_streams_and_ends_with_all_its_programs(
    demo: subprocess.Popen[str], number: signal.Signals, tmp_path: Path
) -> None:
    announcement = _announcement(demo)
    metrics, callbacks = _address(announcement, "metrics"), _address(announcement, "callbacks")
    assert "<h1>Livestreams</h1>" in http.get(_address(announcement, "status page"), timeout=10).text

    deadline = time.monotonic() + LIMIT_SECONDS
    exposition = ""
    while not re.search(r"^livestream_reconnects_total\{.*\} [1-9]", exposition, re.MULTILINE):
        assert time.monotonic() < deadline, f"no stream has reconnected:\n{exposition[:2000]}"
        time.sleep(0.2)
        exposition = http.get(metrics, timeout=10).text
    programs = _descendants(demo.pid)
    # make, the script, and the two that the script runs.
    assert len(programs) == 4

    os.killpg(demo.pid, number)
    assert demo.stdout is not None
    rest = demo.stdout.read()

    # make itself dies of the signal that it was sent, after its recipe has ended well.
    assert demo.wait(LIMIT_SECONDS) in (-number, 0)
    assert "The demo has ended." in rest
    assert "Error" not in rest
    assert not [program for program in programs if Path(f"/proc/{program}").exists()]
    assert _refuses_connections(metrics)
    assert _refuses_connections(callbacks)
    assert list(tmp_path.iterdir()) == []


def test_a_taken_port_is_one_clear_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with _make_demo(os.environ | {"MONITOR_RECEIVER__LISTEN": address}) as process:
            output, _ = process.communicate(timeout=LIMIT_SECONDS)

    assert process.returncode != 0
    assert f"{address} can't be listened on" in output
    assert "MONITOR_RECEIVER__LISTEN" in output
    assert "Traceback" not in output
