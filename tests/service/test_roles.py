"""What each role says of itself, asked of real processes."""

import re
from pathlib import Path

import httpx
import pytest

from monitor.config import Role
from tests.end_to_end.running import Service, wait_for
from tests.ports import free_port


@pytest.mark.parametrize("role", list(Role))
def test_each_process_tells_prometheus_which_part_of_the_service_it_is(role: Role, tmp_path: Path) -> None:
    away = f'[kafka]\nbootstrap_servers = "127.0.0.1:{free_port()}"\n'
    one = Service(tmp_path, more=away, log='backend = "kafka"', role=role)

    def told() -> set[str]:
        try:
            return set(re.findall(r'monitor_build_info\{[^}]*role="(\w+)"', one.page()))
        except httpx.HTTPError:
            return set()

    one.launch()
    try:
        assert wait_for(told, seconds=30, what=f"an answer; see {tmp_path}/serve.log") == {role}
    finally:
        one.close()
