"""Who sends a request: whoever connects, or whom a trusted proxy that connects speaks for."""

import ipaddress
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from monitor.receiver.asgi import Scope

Network = IPv4Network | IPv6Network
ClientAddress = IPv4Address | IPv6Address


def client_of(scope: Scope, proxies: Sequence[Network]) -> ClientAddress | None:
    """Return the address that a request comes from; None where that can't be told.

    A proxy appends who connected to it to X-Forwarded-For, and what stands before that may be anybody's
    invention. So the list is read from its end, for as long as it names trusted proxies.
    """
    connected = scope["client"]
    address = _address(str(connected[0])) if connected else None
    if not is_inside(address, proxies):
        return address
    for text in reversed(_forwarded_for(scope)):
        address = _address(text)
        if not is_inside(address, proxies):
            break
    return address


def is_inside(address: ClientAddress | None, networks: Sequence[Network]) -> bool:
    """Whether an address is in any of these networks; one that can't be told is in none."""
    return address is not None and any(address in network for network in networks)


def _forwarded_for(scope: Scope) -> list[str]:
    values = [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"]
    return [text for value in values for text in value.split(",")]


def _address(text: str) -> ClientAddress | None:
    """Read an address, with a port behind it as some proxies write it, or without."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    # A socket that listens on both families shows IPv4 clients as ::ffff:192.0.2.1.
    return getattr(address, "ipv4_mapped", None) or address
