"""httptools, as the protocol uses it: how requests are taken apart."""

from typing import Any, Protocol

import httptools


class Target(Protocol):
    """What a parser calls with what it finds."""

    def on_message_begin(self) -> None:
        """Hear that a head has begun."""

    def on_url(self, url: bytes) -> None:
        """Take a part of the request's target."""

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header, or a trailer."""

    def on_headers_complete(self) -> None:
        """Hear that the head is whole."""

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""

    def on_message_complete(self) -> None:
        """Hear that the request is whole."""


class _AfterHead:
    """What a parser calls that is given a head of ours first: the target, but not about that head."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self.is_over = False
        self.on_body = target.on_body
        self.on_message_complete = target.on_message_complete

    def on_message_begin(self) -> None:
        if self.is_over:
            self._target.on_message_begin()

    def on_url(self, url: bytes) -> None:
        if self.is_over:
            self._target.on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.is_over:
            self._target.on_header(name, value)

    def on_headers_complete(self) -> None:
        if self.is_over:
            self._target.on_headers_complete()


def new_parser(target: Target) -> Any:
    """Return a parser at the beginning of a connection."""
    parser = httptools.HttpRequestParser(target)
    # Else a request whose client wants no further one would end the parsing of those sent before it.
    parser.set_dangerous_leniencies(lenient_data_after_close=True)
    return parser


def body_parser(target: Target, framing: bytes) -> Any:
    """Return a parser inside a body. framing: the header lines that say how long it is."""
    after = _AfterHead(target)
    parser = new_parser(after)
    parser.feed_data(b"POST / HTTP/1.1\r\n%b\r\n" % framing)
    after.is_over = True
    return parser
