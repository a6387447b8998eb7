"""Puts the parts together and runs them until a signal: the log, the receiver, the worker, the pages."""

import logging
import sys

import structlog
import uvloop

from monitor.config import Role, Settings
from monitor.errors import ConfigurationError
from monitor.service import embedded, on_kafka
from monitor.service.collector import spare_collections

_log = structlog.get_logger(__name__)


def run(settings: Settings, role: Role) -> None:
    """Run the service until SIGTERM or SIGINT; what was acknowledged is kept.

    Raises:
        ConfigurationError: the role, a file or an address can't be had; it says which.
    """
    if settings.log.backend == "sqlite" and role is not Role.ALL:
        raise ConfigurationError(
            [f"--role {role}: the embedded log belongs to one process, so its only role is all"]
        )
    _configure_logging()
    spare_collections()
    for warning in settings.warnings:
        _log.warning("configuration", warning=warning)
    if settings.log.backend == "sqlite":
        uvloop.run(embedded.serve_all(settings))
    else:
        uvloop.run(on_kafka.serve_role(settings, role))
    _log.info("stopped")


def _configure_logging() -> None:
    """Write one JSON object a line to stderr, from our own loggers and the libraries'."""
    structlog.configure(
        processors=[
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(message)s", force=True)
    logging.getLogger("httpx").setLevel(logging.WARNING)
