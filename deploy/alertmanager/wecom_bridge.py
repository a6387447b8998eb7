#!/usr/bin/env python3
"""Passes Alertmanager's webhooks on to the robot of a WeCom group, in the form that it takes.

    wecom_bridge.py --url-file /etc/alertmanager/secrets/wecom-robot-url [--listen 127.0.0.1:9095]

The robot's address holds its key, so it comes from a file and is never printed. Needs nothing but Python.
Alertmanager tries again when this answers 502: when WeCom can't be reached, or refuses the message.
"""

import argparse
import http.client
import json
import re
import sys
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

LONGEST = 4096
"""Bytes that a robot takes in one message."""

# A kilobyte for each alert, and one source may have 20,000 streams.
MAX_BODY = 64 * 1024 * 1024

TIMEOUT_SECONDS = 10.0

# A second line or a blank would end up in what Python says of a bad address, and the key with it.
ADDRESS = re.compile(r"https?://[!-~]+")

COLOURS = {"critical": "warning", "warning": "comment"}
"""WeCom's names: its "warning" is orange, its "comment" grey."""


def message(told: dict[str, Any]) -> str:
    """Return what the group reads, in WeCom's markdown, cut at a whole line if it is too long."""
    lines = []
    # What is over comes last, so that it can't push what fires out of the message.
    for alert in sorted(told.get("alerts", ()), key=lambda alert: alert.get("status") == "resolved"):
        notes, labels = alert.get("annotations", {}), alert.get("labels", {})
        title = notes.get("summary") or labels.get("alertname", "an alert")
        if labels.get("installation"):
            title = f"{labels['installation']}: {title}"
        if alert.get("status") == "resolved":
            lines.append(f'<font color="info">Over</font> {title}')
            continue
        severity = labels.get("severity", "")
        lines.append(f'<font color="{COLOURS.get(severity, "info")}">{severity}</font> **{title}**')
        lines.append(f"> since {alert.get('startsAt', 'unknown')}")
        if notes.get("description"):
            lines.append(f"> {notes['description']}")
        links = [("runbook", notes.get("runbook_url")), ("dashboard", notes.get("dashboard_url"))]
        lines.append(" ".join(f"[{name}]({url})" for name, url in links if url))
    return _cut(lines)


def _cut(lines: list[str]) -> str:
    kept: list[str] = []
    left = LONGEST - len("…".encode())
    for line in lines:
        left -= len(line.encode()) + 1
        if left < 0:
            return "\n".join([*kept, "…"])
        kept.append(line)
    return "\n".join(kept)


def send(robot: str, text: str) -> str | None:
    """Post a message; return what went wrong, without the address, or None."""
    body = json.dumps({"msgtype": "markdown", "markdown": {"content": text}}).encode()
    request = urllib.request.Request(  # noqa: S310 - the address is the operator's own, and checked
        robot, body, {"content-type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310 - as above
            told = json.load(answer)
    except urllib.error.HTTPError as error:
        return f"WeCom answered {error.code}"
    except (OSError, ValueError, http.client.HTTPException) as error:
        return f"WeCom can't be reached: {type(error).__name__}"
    # It answers 200 to what it refuses, too.
    errcode = told.get("errcode") if isinstance(told, dict) else None
    return None if errcode == 0 else f"WeCom refused the message: errcode {errcode}"


class Handler(BaseHTTPRequestHandler):
    """One webhook, one message. `robot` is set before the server starts."""

    robot = ""
    timeout = TIMEOUT_SECONDS
    """Of whoever posts: one who sends no more would hold a thread for good."""

    def do_POST(self) -> None:
        """Pass a webhook on."""
        told_length = self.headers.get("content-length") or ""
        length = int(told_length) if told_length.isascii() and told_length.isdigit() else 0
        if not 0 < length <= MAX_BODY:
            self._answer(413, "a webhook has a body, of at most 64 MiB")
            return
        try:
            told = json.loads(self.rfile.read(length))
            text = message(told)
        except (ValueError, AttributeError, TypeError):
            self._answer(400, "not a webhook of Alertmanager")
            return
        problem = send(self.robot, text)
        if problem is not None:
            sys.stderr.write(f"{problem}\n")
        self._answer(200 if problem is None else 502, problem or "sent")

    def log_message(self, *_: object) -> None:
        """Say nothing of what went well."""

    def _answer(self, status: int, sentence: str) -> None:
        body = f"{sentence}\n".encode()
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main() -> int:
    """Serve until a signal ends it; return the exit code."""
    parser = argparse.ArgumentParser(description="Passes Alertmanager's webhooks on to a WeCom robot.")
    parser.add_argument("--url-file", type=Path, required=True, metavar="F", help="holds the robot's address")
    parser.add_argument("--listen", default="127.0.0.1:9095", metavar="HOST:PORT")
    arguments = parser.parse_args()
    try:
        Handler.robot = arguments.url_file.read_text().strip()
    except OSError as error:
        sys.stderr.write(f"{arguments.url_file}: can't be read: {error.strerror}\n")
        return 2
    if not ADDRESS.fullmatch(Handler.robot):
        sys.stderr.write(f"{arguments.url_file}: must hold one address with https://, and nothing else\n")
        return 2
    host, _, port = arguments.listen.rpartition(":")
    try:
        server = ThreadingHTTPServer((host, int(port)), Handler)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"{arguments.listen} can't be listened on: {error}\n")
        return 2
    sys.stderr.write(f"listening on {host}:{server.server_port}\n")
    sys.stderr.flush()
    server.serve_forever()
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(0)
