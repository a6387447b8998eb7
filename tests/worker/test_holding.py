import pytest

from monitor.config import Source
from monitor.event import Vendor
from monitor.worker.holding import max_streams


@pytest.mark.parametrize(
    ("wanted", "partitions", "expected"),
    [(20000, 1, 20000), (20000, 12, 1830), (100, 12, 20), (5, 12, 3), (1, 12, 1)],
)
def test_a_partition_takes_its_share_and_some_more(wanted: int, partitions: int, expected: int) -> None:
    source = Source(
        name="prod", vendor=Vendor.METASTUDIO, public_url="https://hooks.example.com/prod", max_streams=wanted
    )

    assert max_streams(source, partitions) == expected
