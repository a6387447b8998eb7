"""The configuration: frozen settings, read once from `monitor.toml` and the environment."""

from monitor.config.loading import load_settings
from monitor.config.settings import (
    REMEMBERED_RECONNECTS,
    AdminSettings,
    ApiSettings,
    AuthType,
    ClockSettings,
    FrozenModel,
    HealthSettings,
    KafkaSettings,
    LinkSettings,
    LogSettings,
    ReceiverSettings,
    Role,
    Settings,
    SoftSugarFields,
    Source,
    build_clock,
)
from monitor.config.values import Address, is_source_name, parse_address

__all__ = [
    "REMEMBERED_RECONNECTS",
    "Address",
    "AdminSettings",
    "ApiSettings",
    "AuthType",
    "ClockSettings",
    "FrozenModel",
    "HealthSettings",
    "KafkaSettings",
    "LinkSettings",
    "LogSettings",
    "ReceiverSettings",
    "Role",
    "Settings",
    "SoftSugarFields",
    "Source",
    "build_clock",
    "is_source_name",
    "load_settings",
    "parse_address",
]
