"""What a value of the configuration may be: its types, each with what is said of a value that it isn't.

No sentence repeats the value: it could be a secret in the wrong place.
"""

import ipaddress
import json
import os
import re
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, NamedTuple
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

SOURCE_NAME = "[A-Za-z0-9][A-Za-z0-9_.-]*"
"""What a source may be called: a name is a part of URLs and of Kafka's keys."""

_OWN_PORTS = {"http": 80, "https": 443}

LONGEST_NAME = 240
"""Of a file, in bytes: of the 255 that there are, what stands beside the log takes some more."""

MAPPED_PREFIX = 96
"""Bits of an IPv6 address in front of the IPv4 address that it stands for."""

KEY_LENGTH = 32
"""The longest callback key that either vendor takes, in characters."""


class Address(NamedTuple):
    """Where a server listens. port 0: the system chooses one."""

    host: str
    port: int

    def __str__(self) -> str:
        """Return it as a configuration has it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """Where this machine reaches it over HTTP, without a slash at the end."""
        # A server that listens on all addresses is reached on the machine's own.
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104 - not bound
        return f"http://{Address(host, self.port)}"


def is_source_name(text: str) -> bool:
    """Return whether a source may be called so; it need not be configured."""
    return re.fullmatch(SOURCE_NAME, text) is not None


def parse_address(text: str) -> Address:
    """Read `host:port`, where an IPv6 host stands in brackets.

    Raises:
        ValueError: the text isn't that, or the port is beyond 65535.
    """
    host, _, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        usable = _is_ipv6(host)
    else:
        usable = bool(host) and ":" not in host and _is_idna(host)
    if not usable or not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65535:
        raise ValueError("must be host:port, such as 127.0.0.1:8080 or [::1]:8080")
    return Address(host, int(port))


def _is_idna(text: str) -> bool:
    """Whether a name can be looked up: no part of it is empty or longer than DNS takes."""
    try:
        text.encode("idna")
    except UnicodeError:
        return False
    return True


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def _file(path: Path) -> Path:
    if not path.name:
        raise ValueError("must name a file")
    if "\0" in str(path) or any(len(os.fsencode(part)) > LONGEST_NAME for part in path.parts):
        raise ValueError("must be a path that a file can have")
    return path


def _listen(text: str) -> str:
    parse_address(text)
    return text


def _bootstrap_servers(text: str) -> str:
    try:
        addresses = [parse_address(server.strip()) for server in text.split(",")]
    except ValueError:
        addresses = []
    if not addresses or any(address.port == 0 for address in addresses):
        raise ValueError("must be host:port, or several with commas between")
    return text


def _url(text: str) -> str:
    try:
        parts = urlsplit(text)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or any(character.isspace() for character in text):
        raise ValueError("must be a URL with http:// or https:// and a host")
    return text


def _url_or_empty(text: str) -> str:
    return _url(text) if text else text


def _origin(text: str) -> str:
    if text == "*":
        return text
    parts = urlsplit(_url(text))
    if parts.path or "?" in text or "#" in text or "@" in text:
        raise ValueError("must be an origin, scheme://host[:port] without a path, or *")
    # As browsers write it, or it would never be the one that they send: RFC 6454, section 6.
    name = str(parts.hostname)
    host = f"[{name}]" if ":" in name else _sent_host(name)
    port = "" if parts.port in (None, _OWN_PORTS[parts.scheme]) else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}"


def _sent_host(name: str) -> str:
    try:
        host = name.encode("idna").decode()
        same = host.encode().decode("idna") == name
    except UnicodeError:
        host, same = "", False
    if not same:
        # Of some names a browser makes another one than we would, which may be somebody else's.
        raise ValueError("must have a host as browsers send it: write its xn-- form")
    return host


def _network(value: object) -> object:
    if isinstance(value, IPv4Network | IPv6Network):
        return value
    if not isinstance(value, str):
        # pydantic collects a ValueError, and lets a TypeError through.
        raise ValueError("must be a text in quotes")  # noqa: TRY004
    try:
        return _unmapped(ipaddress.ip_network(value))
    except ValueError:
        pass
    try:
        ipaddress.ip_network(value, strict=False)
    except ValueError:
        raise ValueError("must be a network in CIDR notation, such as 192.0.2.0/24") from None
    raise ValueError("has bits set beyond its prefix length: write the first address of the network")


def _unmapped(network: IPv4Network | IPv6Network) -> IPv4Network | IPv6Network:
    """Return what an IPv4 network is that is written as IPv6: clients are known by their own addresses."""
    mapped = network.network_address.ipv4_mapped if isinstance(network, IPv6Network) else None
    if mapped is None or network.prefixlen < MAPPED_PREFIX:
        return network
    return IPv4Network((mapped, network.prefixlen - MAPPED_PREFIX))


def _list(value: object) -> object:
    """Read a list that the environment holds, where everything is a text."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        raise ValueError('must be a list, such as ["192.0.2.0/24"]') from None


def _not_empty(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be empty")
    return text


def _secret(value: SecretStr) -> SecretStr:
    _not_empty(value.get_secret_value())
    return value


def _endpoint(text: str) -> str:
    if "?" in _url(text) or "#" in text:
        raise ValueError("must end with its path: what is asked for is written behind it")
    return text


def _sent_in_header(text: str) -> str:
    if not re.fullmatch(r"[!-~]+", _not_empty(text)):
        raise ValueError("holds a space, a line's end or a letter beyond ASCII, which no request can carry")
    return text


def _secret_sent_in_header(value: SecretStr) -> SecretStr:
    _sent_in_header(value.get_secret_value())
    return value


def _key(value: SecretStr) -> SecretStr:
    if len(_secret(value).get_secret_value()) > KEY_LENGTH:
        raise ValueError(f"is longer than {KEY_LENGTH} characters, which no vendor's key can be")
    return value


def _pointer(text: str) -> str:
    if not text.startswith("/") or re.search(r"~(?![01])", text):
        raise ValueError("must be a JSON pointer, such as /data/sessionId")
    return text


def _no_truth(value: object) -> object:
    if isinstance(value, bool):
        # pydantic collects a ValueError, and lets a TypeError through.
        raise ValueError("must be a number")  # noqa: TRY004
    return value


Count = Annotated[int, Field(gt=0), BeforeValidator(_no_truth)]
Share = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False), BeforeValidator(_no_truth)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False), BeforeValidator(_no_truth)]
Number = Annotated[float, Field(allow_inf_nan=False), BeforeValidator(_no_truth)]
File = Annotated[Path, AfterValidator(_file)]
Servers = Annotated[str, AfterValidator(_bootstrap_servers)]
Listen = Annotated[str, AfterValidator(_listen)]
Url = Annotated[str, AfterValidator(_url)]
OptionalUrl = Annotated[str, AfterValidator(_url_or_empty)]
Origin = Annotated[str, AfterValidator(_origin)]
Secret = Annotated[SecretStr, AfterValidator(_secret)]
Key = Annotated[SecretStr, AfterValidator(_key)]
Endpoint = Annotated[str, AfterValidator(_endpoint)]
Name = Annotated[str, AfterValidator(_not_empty)]
HeaderText = Annotated[str, AfterValidator(_sent_in_header)]
HeaderSecret = Annotated[SecretStr, AfterValidator(_secret_sent_in_header)]
Pointer = Annotated[str, AfterValidator(_pointer)]
Network = Annotated[IPv4Network | IPv6Network, BeforeValidator(_network)]
Networks = Annotated[tuple[Network, ...], BeforeValidator(_list)]
