"""The frozen settings: what every key of the configuration means, its default and its range.

Attribute names are the keys of `monitor.toml`, except that a `…_file` has become what it holds.
Each model can be built directly, with nothing read from a disk or the environment. No message that
these models raise repeats a value: it could be a secret in the wrong place.
"""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from monitor.clock import Clock, RehearsalClock, SystemClock
from monitor.config.values import (
    SOURCE_NAME,
    Address,
    Count,
    Endpoint,
    File,
    HeaderSecret,
    HeaderText,
    Key,
    Listen,
    Name,
    Networks,
    Number,
    OptionalUrl,
    Origin,
    Pointer,
    Positive,
    Secret,
    Servers,
    Share,
    Url,
    parse_address,
)
from monitor.event import Vendor

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


class FrozenModel(BaseModel):
    """A model that can't be changed once read, refuses unknown keys, and keeps values out of errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class LogSettings(FrozenModel):
    """`[log]`: where events are kept.

    undecodable_share: when more than this of what comes in can't be decoded, the worker stops reading
    rather than emptying the log into the dead letters; 1: it never does.
    """

    backend: Literal["sqlite", "kafka"] = "sqlite"
    path: File = Path("var/monitor.db")
    # A century. Of what is longer, the first moment doesn't fit into the columns that hold moments.
    retention_hours: Annotated[Positive, Field(le=876_000)] = 168
    undecodable_share: Share = 0.5


class KafkaSettings(FrozenModel):
    """`[kafka]`: the brokers, the names of topics and group, and two limits on silence.

    session_timeout_seconds: a worker that Kafka hasn't heard of for so long loses its partitions; the
    brokers take 6 to 1,800 unless they are told otherwise. stall_seconds: a consumer that stands still
    for so long while its partitions grow is made anew.
    """

    bootstrap_servers: Servers = "127.0.0.1:9092"
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

    origin: Number = 0.0
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
    is amiss; less often when all agree. By more than ten minutes nobody could tell within half an hour that
    it is never answered.
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
    ask_every_seconds: Annotated[Positive, Field(le=600)] = 60

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

    name: Annotated[str, Field(pattern=f"^{SOURCE_NAME}$")]
    vendor: Vendor
    public_url: Annotated[Url, Field(repr=False)]
    auth_type: AuthType = AuthType.NONE
    keys: tuple[Key, ...] = ()
    rtc_token: Secret | None = None
    rtc_allow_origins: tuple[Origin, ...] = ()
    max_streams: Count = 20000
    max_clock_skew_seconds: Positive = 300
    allow_networks: Networks = ()
    fields: SoftSugarFields = SoftSugarFields()
    api: ApiSettings | None = None

    @property
    def is_signed(self) -> bool:
        """Whether the vendor signs its callbacks, with their time; keys of MetaStudio's NONE aren't used."""
        return bool(self.keys) and (self.vendor is Vendor.SOFTSUGAR or self.auth_type is not AuthType.NONE)


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
