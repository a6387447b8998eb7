"""The configuration: frozen settings, read once from `monitor.toml` and the environment."""

from monitor.config.loading import load_settings
from monitor.config.settings import (
    Address,
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
    parse_address,
)

__all__ = [
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
    "load_settings",
    "parse_address",
]
