"""What a fleet is given to show at first."""

import pytest

from monitor.worker.fleet import Fleet
from monitor.worker.shard import Shard


def noted_joins(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Return, filled from now on, how many callbacks each job had missed when its stream was first shown."""
    missed: dict[str, int] = {}
    join = Fleet.join

    def note(fleet: Fleet, shard: Shard) -> None:
        for key, state in shard.streams.items():
            missed.setdefault(key.job_id, state.missed)
        join(fleet, shard)

    monkeypatch.setattr(Fleet, "join", note)
    return missed
