"""What a shard keeps apart, and for how long."""

from monitor.config import HealthSettings
from monitor.event import Channel, Decoded, Event, EventId, LinkChanged, LinkState, Stored, Vendor
from monitor.health.stream import StreamKey
from monitor.worker.shard import Shard

JOB = "26f065244f754b3aa853b649a21aaf66"


def tell(shard: Shard, number: int, source: str, state: LinkState) -> None:
    """Fold one callback about an RTMP state."""
    told = (Vendor.METASTUDIO, source, JOB, Channel.CALLBACK, "RTMP_STREAM_STATE_CHANGE")
    event = Event(EventId("r", 1, number), *told, 1_700_000_000.0 + number, None, state.encode())
    shard.fold(Stored(0, number, event), Decoded(JOB, told[-1], LinkChanged("a", state, None)))


def test_one_job_id_under_two_sources_is_two_streams() -> None:
    # Two accounts of a vendor may give the same id, and whoever knows one key must not touch the other's.
    shard = Shard(HealthSettings(), {})
    tell(shard, 1, "prod", LinkState.CONNECTED)
    tell(shard, 2, "test", LinkState.CONNECTED)

    tell(shard, 3, "test", LinkState.DISCONNECTED)

    outages = {key: state.link.outages for key, state in shard.streams.items()}
    assert outages == {StreamKey("prod", JOB): 0, StreamKey("test", JOB): 1}
