"""One service at a time: a lock beside the embedded log, let go of by the system however a process ends."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from monitor.errors import LogUnavailableError
from monitor.log.sqlite_file import make_folders


@contextmanager
def hold(path: Path) -> Iterator[None]:
    """Keep the lock of the log at `path` while the context is open.

    Two services on one log would each fold it and overwrite the other's checkpoint. Commands that only
    read, or append a retried dead letter, need no lock.

    Raises:
        LogUnavailableError: another process has it, the folder can't be written, or its file system has no
            locks.
    """
    try:
        make_folders(path.parent)
        file = _beside(path).open("ab")
    except OSError as error:
        raise LogUnavailableError(f"{path}: its lock can't be made: {error.strerror}") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LogUnavailableError(
                f"{path}: another service runs on this log; stop it, or give this one a log.path of its own"
            ) from None
        except OSError as error:
            # Some network file systems have none.
            raise LogUnavailableError(f"{path}: its lock can't be had: {error.strerror}") from None
        yield


def is_held(path: Path) -> bool:
    """Whether a service runs on the log at `path`; nothing is made."""
    try:
        with _beside(path).open("rb") as file:
            # Shared, and let go of at once: a service that starts meanwhile is hardly ever in its way.
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}-lock")
