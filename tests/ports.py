"""Loopback ports for programs that tests start."""

import socket
from random import SystemRandom

_LOWEST, _HIGHEST = 10_000, 32_767
"""Below those that Linux gives to connections: one of these that is free now could be a connection's before
the program that is to have it listens."""

# Not the module's own: property tests seed that one alike in all processes.
_random = SystemRandom()


def free_port() -> int:
    """Return a port that nobody listens on."""
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on, each another."""
    found: set[int] = set()
    while len(found) < count:
        port = _random.randint(_LOWEST, _HIGHEST)
        with socket.socket() as one:
            try:
                one.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.add(port)
    return list(found)
