"""What the service's user may do at Kafka beside its topics, as far as brokers tell without a change."""

import asyncio

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    GroupCoordinatorNotAvailableError,
    GroupLoadInProgressError,
    TransactionalIdAuthorizationFailed,
)

from monitor.config import KafkaSettings
from monitor.log.kafka_checkpoints import transactional_id
from monitor.log.kafka_topics import administration

_GROUP, _TRANSACTIONS = 0, 1
"""Kinds of coordinators, as Kafka's protocol numbers them."""

_FOUND_SECONDS = 10.0
"""How long brokers may take to name a coordinator: who asks first has them make the topic that it keeps."""

_ASK_AGAIN_SECONDS = 0.1


async def problems(kafka: KafkaSettings) -> list[str]:
    """Return a line for the group, and one for the transactions, if they can't be used.

    Who may not even ask where they are kept has no right to them. Who may can lack the right to use them
    all the same, which only their use would tell.

    Raises:
        ConfigurationError: the configuration's certificates or aiokafka can't be used.
        LogUnavailableError: Kafka can't be reached.
    """
    async with administration(kafka) as admin:
        group = await _problem(admin, _GROUP, kafka.group_id)
        writer = await _problem(admin, _TRANSACTIONS, transactional_id(kafka, 0))
    lines = []
    if group is not None:
        lines.append(f"workers can't join the group {kafka.group_id}: {group or 'Read of it is not granted'}")
    if writer is not None:
        prefix = f"{kafka.group_id}-"
        missing = f"Write of transactional ids that begin with {prefix} is not granted"
        lines.append(f"workers can't keep states: {writer or missing}")
    return lines


async def _problem(admin: AIOKafkaAdminClient, kind: int, name: str) -> str | None:
    """Return why a coordinator isn't found, nothing if its right isn't there; None if it is found."""
    try:
        async with asyncio.timeout(_FOUND_SECONDS):
            while True:
                try:
                    await admin.find_coordinator(name, kind)
                except (GroupCoordinatorNotAvailableError, GroupLoadInProgressError):
                    await asyncio.sleep(_ASK_AGAIN_SECONDS)
                else:
                    return None
    except (GroupAuthorizationFailedError, TransactionalIdAuthorizationFailed):
        return ""
    except TimeoutError:
        return f"brokers name no coordinator of {name} within {_FOUND_SECONDS:g} s"
