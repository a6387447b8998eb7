import socket
from collections.abc import Iterator
from typing import Any

import pytest

from monitor.config import AdminSettings, ReceiverSettings, Settings
from monitor.errors import ConfigurationError
from monitor.service.parts import serving


@pytest.fixture
def taken() -> Iterator[str]:
    """An address that somebody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield f"127.0.0.1:{other.getsockname()[1]}"


def listening(*, admin: str = "127.0.0.1:0", receiver: str = "127.0.0.1:0") -> Settings:
    return Settings(admin=AdminSettings(listen=admin), receiver=ReceiverSettings(listen=receiver))


async def nothing(_scope: Any, _receive: Any, _send: Any) -> None:
    pytest.fail("nobody asks it")


async def refusal(settings: Settings) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        async with serving(settings, nothing, nothing):
            pass
    return caught.value.problems


async def test_an_address_that_is_taken_is_refused_under_its_key(taken: str) -> None:
    said = f"{taken} can't be listened on: Address already in use"

    assert [f"admin.listen: {said}"] == await refusal(listening(admin=taken))
    assert [f"receiver.listen: {said}"] == await refusal(listening(receiver=taken))


async def test_a_host_that_nobody_knows_is_refused_under_its_key() -> None:
    [said] = await refusal(listening(receiver="nowhere.invalid:1"))

    assert said.startswith("receiver.listen: nowhere.invalid:1 can't be listened on: ")
