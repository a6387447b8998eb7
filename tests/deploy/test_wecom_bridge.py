"""What Alertmanager posts reaches a WeCom robot in the robot's own form."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

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


class Robot:
    """A WeCom robot's address; `errcode` is what it answers."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []
        self.errcode = 0
        robot = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                robot.told.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
                answer = json.dumps({"errcode": robot.errcode, "errmsg": "?"}).encode()
                self.send_response(200)
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/send?key=a-key-of-tests"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def robot() -> Iterator[Robot]:
    one = Robot()
    yield one
    one.close()


@pytest.fixture
def bridge(robot: Robot, tmp_path: Path) -> Iterator[str]:
    secret = tmp_path / "robot-url"
    secret.write_text(robot.url + "\n")
    command = [sys.executable, str(BRIDGE), "--url-file", str(secret), "--listen", "127.0.0.1:0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        yield f"http://{process.stderr.readline().strip().removeprefix('listening on ')}/"
        process.terminate()
        assert "a-key-of-tests" not in process.stderr.read()


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


def test_a_message_that_is_too_long_is_cut_at_a_whole_line(bridge: str, robot: Robot) -> None:
    assert httpx.post(bridge, json={"alerts": [FIRING] * 100}).status_code == 200
    content = robot.told[0]["markdown"]["content"]
    assert 3500 < len(content.encode()) <= 4096
    assert content.endswith("\n…")


def test_what_wecom_refuses_alertmanager_has_to_try_again(bridge: str, robot: Robot) -> None:
    robot.errcode = 45009
    answer = httpx.post(bridge, json={"alerts": [FIRING]})
    assert (answer.status_code, answer.text) == (502, "WeCom refused the message: errcode 45009\n")
    robot.close()
    answer = httpx.post(bridge, json={"alerts": [FIRING]})
    assert answer.status_code == 502
    assert "a-key-of-tests" not in answer.text


@pytest.mark.parametrize("body", [b"[]", b"not JSON", b'{"alerts": [1]}'])
def test_what_is_no_webhook_is_refused(bridge: str, robot: Robot, body: bytes) -> None:
    assert httpx.post(bridge, content=body).status_code == 400
    assert robot.told == []


@pytest.mark.parametrize("content", [None, "not an address"])
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
