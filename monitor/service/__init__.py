"""Puts the parts together and runs them until a signal: the log, the receiver, the worker, the pages."""

import sys

import structlog
import uvloop

from monitor.config import Role, Settings
from monitor.errors import ConfigurationError
from monitor.service import embedded, log_lines, on_kafka
from monitor.service.interpreter import prepare_interpreter

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
    log_lines.configure(sys.stderr)
    prepare_interpreter()
    for warning in settings.warnings:
        _log.warning("configuration", warning=warning)
    if settings.log.backend == "sqlite":
        uvloop.run(embedded.serve_all(settings))
    else:
        uvloop.run(on_kafka.serve_role(settings, role))
    _log.info("stopped")
