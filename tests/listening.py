"""A real HTTP server for a test: what is posted to it is JSON, and the test says what it answers."""

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple


class Answer(NamedTuple):
    """What a request gets."""

    status: int
    body: dict[str, Any]


class Listener:
    """Listens from the start.

    Args:
        take: gets the path and the body of each request, and returns its answer.
    """

    def __init__(self, take: Callable[[str, dict[str, Any]], Answer]) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                answer = take(self.path, json.loads(self.rfile.read(int(self.headers["content-length"]))))
                body = json.dumps(answer.body).encode()
                self.send_response(answer.status)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """The base URL."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        """Listen no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
