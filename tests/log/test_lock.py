import errno
import fcntl
import os
from pathlib import Path

import pytest

from monitor.errors import LogUnavailableError
from monitor.log.lock import hold, is_held


def test_a_second_service_on_a_log_is_refused_until_the_first_has_let_go(tmp_path: Path) -> None:
    path = tmp_path / "monitor.db"
    with hold(path):
        assert is_held(path)
        with pytest.raises(LogUnavailableError, match="another service runs on this log"), hold(path):
            pass

    assert not is_held(path)
    with hold(path):
        pass


def test_a_file_system_without_locks_is_not_taken_for_another_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    path = tmp_path / "monitor.db"

    with pytest.raises(LogUnavailableError) as refused, hold(path):
        pass

    assert str(refused.value) == f"{path}: its lock can't be had: No locks available"


def test_the_folders_that_are_made_for_a_log_are_synced_into_those_above_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.fstat(descriptor).st_ino))

    with hold(tmp_path / "one" / "two" / "monitor.db"):
        pass

    assert synced == [tmp_path.stat().st_ino, (tmp_path / "one").stat().st_ino]
