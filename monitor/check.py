"""Reaches what the configuration names, and says of each whether the service could use it."""

import asyncio
import errno
import os
import shutil
import socket
from collections import Counter
from collections.abc import Coroutine, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from monitor.config import Address, KafkaSettings, LogSettings, Settings, parse_address
from monitor.errors import ConfigurationError, LogUnavailableError
from monitor.health.status import Status
from monitor.log import kafka_client, kafka_rights, kafka_topics, lock, sqlite_checkpoints, sqlite_file
from monitor.log.kafka import BODIES_TOO_LARGE, takes_bodies
from monitor.log.sqlite_schema import LOG, SPOOL
from monitor.worker.sources import UNHEARD

FREE_BYTES = 256 * 1024 * 1024
"""With less room than this the log would be full within hours of moderate traffic."""

CONNECT_SECONDS = 3.0

ANSWER_SECONDS = 1.0
"""How long whoever has an address may take to say that it is the service."""

STREAMS_SECONDS = 5.0
"""How long the service may take to list its streams."""


class Check(NamedTuple):
    """One thing that was looked at. name: the configuration's key. detail: a sentence without a secret."""

    name: str
    ok: bool
    detail: str


def check_all(settings: Settings) -> list[Check]:
    """Look at everything that the service needs at its start: the log, the brokers, the addresses.

    Nothing is created or changed. An address that a running service has is as it should be: it may be this
    one, whose new configuration is looked at before it is started again.
    """
    return list(_checks(settings))


def unheard_streams(settings: Settings) -> list[str]:
    """Say which sources have live streams at the running service and are not in this configuration.

    Who takes a source out, or renames it, is to know before the service is started again. Where none runs
    that serves the page, there is nothing to say.
    """
    live = {"status": [status.value for status in Status if status is not Status.ENDED]}
    try:
        url = f"{settings.admin.address.url}/api/streams"
        answer = httpx.get(url, params=live, timeout=STREAMS_SECONDS, trust_env=False)
        if answer.status_code != httpx.codes.OK:
            return []
        told = Counter(stream["source"] for stream in answer.json()["streams"])
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError):
        return []
    names = {source.name for source in settings.sources}
    return [
        f"{number} live streams of {source!r}: {UNHEARD}"
        for source, number in sorted(told.items())
        if source not in names
    ]


def _checks(settings: Settings) -> Iterator[Check]:
    yield _log_path(settings.log)
    yield _disk(settings.log)
    if settings.log.backend == "kafka":
        if not takes_bodies(settings):
            yield Check("receiver.max_body_bytes", False, BODIES_TOO_LARGE)
        reached = _brokers(settings.kafka)
        yield reached
        if reached.ok:
            yield from _kafka(settings)
    with ExitStack() as taken:
        # Both at once, as the service has them: two names of one machine may be one address.
        yield _listen("receiver.listen", settings.receiver.address, taken)
        yield _listen("admin.listen", settings.admin.address, taken)


def _log_path(log: LogSettings) -> Check:
    folder = _nearest_folder(log.path)
    if not folder.is_dir():
        return Check("log.path", False, f"{folder} is not a folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        return Check("log.path", False, f"this user may not write in {folder}")
    if log.path.is_dir():
        return Check("log.path", False, f"{log.path} is a folder; name a file in it")
    if log.path.exists() and not os.access(log.path, os.R_OK | os.W_OK):
        return Check("log.path", False, f"this user may not write {log.path}")
    try:
        if log.path.exists():
            sqlite_file.look(log.path, SPOOL if log.backend == "kafka" else LOG)
        if log.backend == "sqlite":
            sqlite_checkpoints.look(log.path)
    except LogUnavailableError as error:
        return Check("log.path", False, str(error))
    if not log.path.exists() and lock.is_held(log.path):
        removed = (
            f"{log.path} was removed under the running service, which keeps nothing more in it; restart it"
        )
        return Check("log.path", False, removed)
    return Check("log.path", True, f"{log.path} can be written")


def _disk(log: LogSettings) -> Check:
    free = shutil.disk_usage(_nearest_folder(log.path)).free
    room = f"{free / 1e9:.1f} GB free"
    if free < FREE_BYTES:
        return Check("log.path disk", False, f"{room}; the log needs at least {FREE_BYTES / 1e9:.1f} GB")
    return Check("log.path disk", True, room)


def _nearest_folder(path: Path) -> Path:
    """Return the nearest thing above a path that is there; the log makes the folders below it."""
    return next(parent for parent in path.absolute().parents if os.access(parent, os.F_OK))


def _brokers(kafka: KafkaSettings) -> Check:
    servers = [parse_address(server.strip()) for server in kafka.bootstrap_servers.split(",")]
    for server in servers:
        try:
            socket.create_connection(server, timeout=CONNECT_SECONDS).close()
        except OSError:
            continue
        return Check("kafka.bootstrap_servers", True, f"{server} answers")
    return Check("kafka.bootstrap_servers", False, "none of them can be reached")


def _kafka(settings: Settings) -> Iterator[Check]:
    kafka_client.tell_nothing()
    kafka = settings.kafka
    topics = _asked("kafka topics", kafka_topics.problems(settings))
    yield from topics or [
        Check("kafka topics", True, f"{kafka.topic_prefix}… are as they have to be, or will be made")
    ]
    rights = _asked("kafka rights", kafka_rights.problems(kafka))
    if not rights:
        yield Check("kafka rights", True, f"the group {kafka.group_id} and its transactions are there")
    # Where nobody is let in, one line says it.
    said = {one.detail for one in topics}
    yield from (one for one in rights if one.detail not in said)


def _asked(name: str, asking: Coroutine[Any, Any, list[str]]) -> list[Check]:
    """Return what brokers complain of."""
    try:
        problems = asyncio.run(asking)
    except ConfigurationError as error:
        problems = error.problems
    except LogUnavailableError as error:
        problems = [str(error)]
    return [Check(name, False, problem) for problem in problems]


def _listen(name: str, address: Address, taken: ExitStack) -> Check:
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        server = taken.enter_context(socket.socket(family, kind, protocol))
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(place)
        server.listen()
    except OSError as error:
        if error.errno == errno.EADDRINUSE and _is_the_service(address):
            return Check(name, True, f"{address} is a running service's")
        return Check(name, False, f"{address} can't be listened on: {error.strerror}")
    return Check(name, True, f"{address} is free")


def _is_the_service(address: Address) -> bool:
    """Return whether what listens there answers as this service does."""
    try:
        answer = httpx.get(f"{address.url}/healthz", timeout=ANSWER_SECONDS, trust_env=False)
        return answer.status_code == httpx.codes.OK and answer.json() == {"status": "ok"}
    except (httpx.HTTPError, httpx.InvalidURL, ValueError):
        return False
