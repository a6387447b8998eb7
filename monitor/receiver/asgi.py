"""The shapes of ASGI 3 that the receiver speaks; it needs no framework between itself and the server."""

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = Mapping[str, str]
"""Header fields by lower-case name."""


def headers_of(scope: Scope) -> Headers:
    """Return a request's header fields by lower-case name; of a repeated one, the last."""
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
