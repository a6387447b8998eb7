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
    prefix = f"{kafka.group_id}-"
    looked_for = (
        (_GROUP, kafka.group_id, f"workers can't join the group {kafka.group_id}", "Read of it"),
        (
            _TRANSACTIONS,
            transactional_id(kafka, 0),
            "workers can't keep states",
            f"Write of transactional ids that begin with {prefix}",
        ),
    )
    async with administration(kafka) as admin:
        found = [
            (what, await _problem(admin, kind, name, f"{right} is not granted"))
            for kind, name, what, right in looked_for
        ]
    return [f"{what}: {problem}" for what, problem in found if problem is not None]


async def _problem(admin: AIOKafkaAdminClient, kind: int, name: str, no_right: str) -> str | None:
    """Return why a coordinator isn't found; None if it is. no_right: where it may not be asked for."""
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
        return no_right
    except TimeoutError:
        return f"brokers name no coordinator of {name} within {_FOUND_SECONDS:g} s"
