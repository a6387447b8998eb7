"""What Alertmanager posts reaches a WeCom robot in the robot's own form."""

import contextlib
import importlib.util
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.listening import Answer, Listener

BRIDGE = Path(__file__).resolve().parent.parent.parent / "deploy" / "alertmanager" / "wecom_bridge.py"

RUNBOOK = "https://runbooks.example.com/LivestreamDown.md"
DASHBOARD = "https://grafana.example.com/d/livestream-stream"

FIRING = {
    "status": "firing",
    "labels": {"alertname": "LivestreamDown", "severity": "critical"},
    "annotations": {
        "summary": "one/房间-1 is down",
        "description": "Viewers see nothing.",
        "runbook_url": RUNBOOK,
        "dashboard_url": DASHBOARD,
    },
    "startsAt": "2025-07-01T12:00:00Z",
}


class Robot(Listener):
    """A WeCom robot's address; `errcode` is what it answers."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []
        self.errcode = 0
        super().__init__(self._take)

    @property
    def secret_url(self) -> str:
        return f"{self.url}/send?key=a-key-of-tests"

    def _take(self, _path: str, body: dict[str, Any]) -> Answer:
        self.told.append(body)
        return Answer(200, {"errcode": self.errcode, "errmsg": "?"})


@pytest.fixture
def robot() -> Iterator[Robot]:
    one = Robot()
    yield one
    one.close()


@contextlib.contextmanager
def bridged(robot_url: str, folder: Path) -> Iterator[str]:
    secret = folder / "robot-url"
    secret.write_text(robot_url + "\n")
    command = [sys.executable, str(BRIDGE), "--url-file", str(secret), "--listen", "127.0.0.1:0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            yield f"http://{process.stderr.readline().strip().removeprefix('listening on ')}/"
        finally:
            process.terminate()
        told = process.stderr.read()
        assert "a-key-of-tests" not in told
        assert "Traceback" not in told


@pytest.fixture
def bridge(robot: Robot, tmp_path: Path) -> Iterator[str]:
    with bridged(robot.secret_url, tmp_path) as url:
        yield url


def posted(bridge: str, request: bytes) -> bytes:
    """Send bytes that no HTTP client would, and return all that comes back."""
    host, port = bridge.removeprefix("http://").rstrip("/").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(request)
        return b"".join(iter(lambda: connection.recv(4096), b""))


def test_a_page_says_which_stream_since_when_and_what_to_do(bridge: str, robot: Robot) -> None:
    assert httpx.post(bridge, json={"alerts": [FIRING]}).status_code == 200
    (told,) = robot.told
    assert told["msgtype"] == "markdown"
    assert told["markdown"]["content"].splitlines() == [
        '<font color="warning">critical</font> **one/房间-1 is down**',
        "> since 2025-07-01T12:00:00Z",
        "> Viewers see nothing.",
        f"[runbook]({RUNBOOK}) [dashboard]({DASHBOARD})",
    ]


def test_what_is_over_is_said_in_a_line(bridge: str, robot: Robot) -> None:
    assert httpx.post(bridge, json={"alerts": [FIRING | {"status": "resolved"}]}).status_code == 200
    assert robot.told[0]["markdown"]["content"] == '<font color="info">Over</font> one/房间-1 is down'


def test_a_page_names_its_installation_where_there_are_several(bridge: str, robot: Robot) -> None:
    labels = {"alertname": "LivestreamDown", "severity": "critical", "installation": "staging"}
    staging = FIRING | {"labels": labels}
    assert httpx.post(bridge, json={"alerts": [staging, staging | {"status": "resolved"}]}).status_code == 200
    first, *_, last = robot.told[0]["markdown"]["content"].splitlines()
    assert first == '<font color="warning">critical</font> **staging: one/房间-1 is down**'
    assert last == '<font color="info">Over</font> staging: one/房间-1 is down'


def test_a_message_that_is_too_long_is_cut_at_a_whole_line(bridge: str, robot: Robot) -> None:
    assert httpx.post(bridge, json={"alerts": [FIRING] * 100}).status_code == 200
    content = robot.told[0]["markdown"]["content"]
    assert 3500 < len(content.encode()) <= 4096
    assert content.endswith("\n…")


def test_what_is_over_pushes_nothing_that_fires_out_of_a_message(bridge: str, robot: Robot) -> None:
    over = [FIRING | {"status": "resolved"}] * 200
    assert httpx.post(bridge, json={"alerts": [*over, FIRING]}).status_code == 200
    first, *_, last = robot.told[0]["markdown"]["content"].splitlines()
    assert (first, last) == ('<font color="warning">critical</font> **one/房间-1 is down**', "…")


def test_a_group_hears_of_all_streams_of_a_source_at_once(bridge: str, robot: Robot) -> None:
    alerts = [FIRING | {"fingerprint": "f" * 750}] * 20_000
    assert httpx.post(bridge, json={"alerts": alerts}, timeout=60).status_code == 200
    assert robot.told[0]["markdown"]["content"].endswith("\n…")


def test_what_wecom_refuses_alertmanager_has_to_try_again(bridge: str, robot: Robot) -> None:
    robot.errcode = 45009
    answer = httpx.post(bridge, json={"alerts": [FIRING]})
    assert (answer.status_code, answer.text) == (502, "WeCom refused the message: errcode 45009\n")


def test_a_robot_that_cant_be_reached_is_said_without_its_address(bridge: str, robot: Robot) -> None:
    robot.close()
    answer = httpx.post(bridge, json={"alerts": [FIRING]})
    assert answer.status_code == 502
    assert answer.text.startswith("WeCom can't be reached")
    assert "a-key-of-tests" not in answer.text


def test_what_doesnt_speak_http_is_said_without_its_address(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"220 a-key-of-tests is what you said\r\n")

        robot = threading.Thread(target=answer)
        robot.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/send?key=a-key-of-tests"
        with bridged(url, tmp_path) as bridge:
            answered = httpx.post(bridge, json={"alerts": [FIRING]})
        robot.join()
    assert (answered.status_code, answered.text) == (502, "WeCom can't be reached: BadStatusLine\n")


def test_a_length_that_is_no_number_is_refused(bridge: str, robot: Robot) -> None:
    answer = posted(bridge, b"POST / HTTP/1.0\r\ncontent-length: many\r\n\r\n")
    assert answer.split(b" ", 2)[1] == b"413"
    assert robot.told == []


def test_who_sends_no_more_is_let_go() -> None:
    spec = importlib.util.spec_from_file_location("wecom_bridge", BRIDGE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.Handler.timeout == module.TIMEOUT_SECONDS
    module.Handler.timeout = 0.2
    server = ThreadingHTTPServer(("127.0.0.1", 0), module.Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.server_port}/"
        assert posted(url, b"POST / HTTP/1.0\r\ncontent-length: 10\r\n\r\n{") == b""
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.parametrize("body", [b"[]", b"not JSON", b'{"alerts": [1]}'])
def test_what_is_no_webhook_is_refused(bridge: str, robot: Robot, body: bytes) -> None:
    assert httpx.post(bridge, content=body).status_code == 400
    assert robot.told == []


@pytest.mark.parametrize(
    "content",
    [
        None,
        "not an address",
        "https://robot.example.com/send?key=a-key-of-tests\nhttps://robot.example.com/send?key=another",
        "https://robot.example.com/send?key=a-key-of-tests # the night shift's",
    ],
)
def test_an_address_that_isnt_there_is_said_at_the_start(tmp_path: Path, content: str | None) -> None:
    secret = tmp_path / "robot-url"
    if content is not None:
        secret.write_text(content)
    done = subprocess.run(
        [sys.executable, str(BRIDGE), "--url-file", str(secret)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith(str(secret))
    assert len(done.stderr.splitlines()) == 1
    assert "a-key-of-tests" not in done.stderr
