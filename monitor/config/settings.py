"""The frozen settings: what every key of the configuration means, its default and its range.

Attribute names are the keys of `monitor.toml`, except that a `…_file` has become what it holds.
Each model can be built directly, with nothing read from a disk or the environment. No message that
these models raise repeats a value: it could be a secret in the wrong place.
"""

import ipaddress
import json
import os
import re
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Literal, NamedTuple
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr

from monitor.clock import Clock, RehearsalClock, SystemClock
from monitor.event import Vendor

_SOURCE_NAME = "[A-Za-z0-9][A-Za-z0-9_.-]*"
"""What a source may be called: a name is a part of URLs and of Kafka's keys."""

_OWN_PORTS = {"http": 80, "https": 443}

LONGEST_NAME = 240
"""Of a file, in bytes: of the 255 that there are, what stands beside the log takes some more."""

KEY_LENGTH = 32
"""The longest callback key that either vendor takes, in characters."""

REMEMBERED_RECONNECTS = 32
"""Of each stream: where more are asked for, none counts as flapping."""


class Role(StrEnum):
    """Which part of the service a process runs."""

    ALL = "all"
    RECEIVER = "receiver"
    WORKER = "worker"
    WEB = "web"


class AuthType(StrEnum):
    """How MetaStudio signs its callbacks; SoftSugar signs whenever a key is set."""

    NONE = "NONE"
    MSS_A = "MSS_A"
    MSS_A_HEAD = "MSS_A_HEAD"


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
    return re.fullmatch(_SOURCE_NAME, text) is not None


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
        usable = bool(host) and ":" not in host
    if not usable or not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65535:
        raise ValueError("must be host:port, such as 127.0.0.1:8080 or [::1]:8080")
    return Address(host, int(port))


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
    host = f"[{parts.hostname}]" if ":" in str(parts.hostname) else parts.hostname
    port = "" if parts.port in (None, _OWN_PORTS[parts.scheme]) else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}"


def _network(value: object) -> object:
    if isinstance(value, IPv4Network | IPv6Network):
        return value
    if not isinstance(value, str):
        # pydantic collects a ValueError, and lets a TypeError through.
        raise ValueError("must be a text in quotes")  # noqa: TRY004
    try:
        return ipaddress.ip_network(value)
    except ValueError:
        pass
    try:
        ipaddress.ip_network(value, strict=False)
    except ValueError:
        raise ValueError("must be a network in CIDR notation, such as 192.0.2.0/24") from None
    raise ValueError("has bits set beyond its prefix length: write the first address of the network")


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
Listen = Annotated[str, AfterValidator(_listen)]
Url = Annotated[str, AfterValidator(_url)]
OptionalUrl = Annotated[str, AfterValidator(_url_or_empty)]
Secret = Annotated[SecretStr, AfterValidator(_secret)]
Key = Annotated[SecretStr, AfterValidator(_key)]
Endpoint = Annotated[str, AfterValidator(_endpoint)]
Name = Annotated[str, AfterValidator(_not_empty)]
HeaderText = Annotated[str, AfterValidator(_sent_in_header)]
HeaderSecret = Annotated[SecretStr, AfterValidator(_secret_sent_in_header)]
Pointer = Annotated[str, AfterValidator(_pointer)]
Network = Annotated[IPv4Network | IPv6Network, BeforeValidator(_network)]
Networks = Annotated[tuple[Network, ...], BeforeValidator(_list)]


class FrozenModel(BaseModel):
    """A model that can't be changed once read, refuses unknown keys, and keeps values out of errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class LogSettings(FrozenModel):
    """`[log]`: where events are kept.

    undecodable_share: when more than this of what comes in can't be decoded, the worker stops reading
    rather than emptying the log into the dead letters; 1: it never does.
    """

    backend: Literal["sqlite", "kafka"] = "sqlite"
    path: Annotated[Path, AfterValidator(_file)] = Path("var/monitor.db")
    # A century. Of what is longer, the first moment doesn't fit into the columns that hold moments.
    retention_hours: Annotated[Positive, Field(le=876_000)] = 168
    undecodable_share: Share = 0.5


class KafkaSettings(FrozenModel):
    """`[kafka]`: the brokers, the names of topics and group, and two limits on silence.

    session_timeout_seconds: a worker that Kafka hasn't heard of for so long loses its partitions; the
    brokers take 6 to 1,800 unless they are told otherwise. stall_seconds: a consumer that stands still
    for so long while its partitions grow is made anew.
    """

    bootstrap_servers: Annotated[str, AfterValidator(_bootstrap_servers)] = "127.0.0.1:9092"
    group_id: Annotated[str, Field(min_length=1)] = "monitor"
    topic_prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]*$", max_length=200)] = "livestream."
    partitions: Count = 12
    replication_factor: Annotated[Count, Field(le=32767)] = 3
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
    sasl_username: str | None = None
    sasl_password: Secret | None = None
    ssl_cafile: Path | None = None
    session_timeout_seconds: Positive = 10
    stall_seconds: Positive = 30


class ReceiverSettings(FrozenModel):
    """`[receiver]`: the server that faces the vendors.

    trusted_proxies: where those that connect are believed in X-Forwarded-For.
    """

    listen: Listen = "127.0.0.1:8080"
    max_body_bytes: Count = 65536
    trusted_proxies: Networks = ()

    @property
    def address(self) -> Address:
        """`listen`, taken apart."""
        return parse_address(self.listen)


class AdminSettings(FrozenModel):
    """`[admin]`: the server that faces operators."""

    listen: Listen = "127.0.0.1:9108"

    @property
    def address(self) -> Address:
        """`listen`, taken apart."""
        return parse_address(self.listen)


class HealthSettings(FrozenModel):
    """`[health]`: from when on a stream counts as something."""

    down_after_seconds: Positive = 60
    silent_after_seconds: Positive = 900
    flapping_reconnects: Count = 3
    flapping_window_seconds: Positive = 600
    stall_factor: Positive = 3.0
    keep_ended_seconds: Positive = 900
    keep_abnormal_seconds: Positive = 14400
    abandon_after_seconds: Positive = 86400


class LinkSettings(FrozenModel):
    """`[links]`: where pages and alerts point to; empty means nowhere."""

    grafana_url: OptionalUrl = ""
    alertmanager_url: OptionalUrl = ""
    runbook_url: OptionalUrl = ""


class ClockSettings(FrozenModel):
    """`[clock]`: a rehearsal clock. origin: Unix seconds at which it agrees with the machine's."""

    origin: Annotated[float, Field(allow_inf_nan=False), BeforeValidator(_no_truth)] = 0.0
    speed: Positive = 1.0


class SoftSugarFields(FrozenModel):
    """`[sources.fields]`: JSON pointers to a callback's fields; None: look in the usual places."""

    session_id: Pointer | None = None
    status: Pointer | None = None
    code: Pointer | None = None
    user_data: Pointer | None = None


class ApiSettings(FrozenModel):
    """`[sources.api]`: the vendor's API.

    MetaStudio: project_id, and a token or access_key with secret_key. SoftSugar: app_id, app_key.
    token_file: what the token was read from, and is read from again, since it lives for a day.
    calls_per_minute: the most that reconcile asks. ask_every_seconds: how often it asks when something
    is amiss; less often when all agree.
    """

    endpoint: Endpoint
    project_id: HeaderText | None = None
    access_key: HeaderText | None = Field(default=None, repr=False)
    secret_key: Secret | None = None
    token: HeaderSecret | None = None
    token_file: Path | None = None
    app_id: Name | None = None
    app_key: Secret | None = None
    calls_per_minute: Count = 60
    ask_every_seconds: Positive = 60

    @property
    def account(self) -> tuple[str, str | None]:
        """Whose sessions a SoftSugar source lists, however its endpoint is spelled."""
        return self.endpoint.rstrip("/"), self.app_id


class Source(FrozenModel):
    """`[[sources]]`: one vendor's account that posts to us.

    public_url: the URL as the vendor has it, which it signs; kept out of `repr`, since a URL may
    itself be what authenticates. keys: any of them is accepted. allow_networks: of whoever connects to
    us, or whom one of the receiver's `trusted_proxies` speaks for.
    """

    name: Annotated[str, Field(pattern=f"^{_SOURCE_NAME}$")]
    vendor: Vendor
    public_url: Annotated[Url, Field(repr=False)]
    auth_type: AuthType = AuthType.NONE
    keys: tuple[Key, ...] = ()
    rtc_token: Secret | None = None
    rtc_allow_origins: tuple[Annotated[str, AfterValidator(_origin)], ...] = ()
    max_streams: Count = 20000
    max_clock_skew_seconds: Positive = 300
    allow_networks: Networks = ()
    fields: SoftSugarFields = SoftSugarFields()
    api: ApiSettings | None = None


class Settings(FrozenModel):
    """All of the configuration. warnings: what can work but shouldn't, one sentence each."""

    log: LogSettings = LogSettings()
    kafka: KafkaSettings = KafkaSettings()
    receiver: ReceiverSettings = ReceiverSettings()
    admin: AdminSettings = AdminSettings()
    health: HealthSettings = HealthSettings()
    links: LinkSettings = LinkSettings()
    clock: ClockSettings = ClockSettings()
    sources: tuple[Source, ...] = ()
    warnings: tuple[str, ...] = ()


def build_clock(settings: Settings) -> Clock:
    """Return the clock that `[clock]` describes: the machine's own unless its speed differs from 1."""
    if settings.clock.speed == 1:
        return SystemClock()
    return RehearsalClock(settings.clock.origin, settings.clock.speed)
