"""Opening this service's SQLite files: folders, journal mode, and whose file it is."""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from monitor.errors import LogUnavailableError
from monitor.log.bulk import STATEMENTS_KEPT

BUSY_SECONDS = 2.0
"""How long a write waits for another process (a command that retries a dead letter) to finish its own."""

FILE_MODE = 0o640
"""Bodies are kept as they came, with what is secret in them: they are not for everybody on the machine."""

ANOTHER_FILE = "the file was removed, replaced or emptied; restart the service"
"""What is wrong where `identity` isn't what it was when the file was opened."""

_AS_ITS_USER = "run this as the service's user"

_WAL_BYTES_KEPT = 64 * 1024 * 1024


class Kind(NamedTuple):
    """What a file is.

    application: SQLite's application_id, so that no other program's file is taken for ours. version:
    SQLite's user_version. schema: the statements that make an empty file one of this kind.
    """

    name: str
    application: int
    version: int
    schema: str


def connect(
    path: Path,
    *,
    synchronous: str,
    create: bool = True,
    begin: Callable[[sqlite3.Connection], object] | None = None,
) -> sqlite3.Connection:
    """Open a connection that commits each statement by itself unless told to begin a transaction.

    Args:
        path: the file.
        synchronous: FULL syncs each commit; NORMAL syncs at checkpoints of the WAL alone.
        create: make the file if it isn't there.
        begin: what else is to be done first; if it fails, no connection stays open.
    """
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={'rwc' if create else 'rw'}",
        uri=True,
        timeout=BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=STATEMENTS_KEPT,
    )
    try:
        connection.execute(f"PRAGMA synchronous = {synchronous}")
        connection.execute(f"PRAGMA journal_size_limit = {_WAL_BYTES_KEPT}")
        if begin is not None:
            begin(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def prepare(path: Path, kind: Kind) -> None:
    """Make sure that the file is there and is of this kind and version, in WAL mode.

    Raises:
        LogUnavailableError: it can't be, or it is something else; it says what to do.
    """
    with named_failures(path), _named_damage(path, kind):
        _refuse_no_file(path)
        make_folders(path.parent)
        _make(path)
        with closing(connect(path, synchronous="FULL")) as connection:
            _prepare(connection, path, kind)


def look(path: Path, kind: Kind) -> None:
    """Make sure that `prepare` would take the file as it is; change nothing, and make no file beside it.

    Raises:
        LogUnavailableError: it is something else, or can't be read; it says what to do.
    """
    with named_failures(path):
        _refuse_no_file(path)
    # Immutable: no lock and no shared memory, which a service that uses the file would share. What the file
    # is doesn't change meanwhile.
    address = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
    with (
        named_failures(path),
        _named_damage(path, kind),
        closing(sqlite3.connect(address, uri=True)) as connection,
    ):
        if _holds_anything(connection):
            check(connection, path, kind)


@contextmanager
def _named_damage(path: Path, kind: Kind) -> Iterator[None]:
    """Say of a file that is damaged, or no database, what to do."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise
        raise LogUnavailableError(
            f"{path}: {error}. Put a copy of {kind.name} back, or move it away with the -wal and -shm "
            "beside it: the service then begins a new one"
        ) from error


def is_damage(error: BaseException | None) -> bool:
    """Whether SQLite says of a file that it is damaged, or no database."""
    # The lowest byte is the kind of what is wrong, those above it where it was seen; ours have no code.
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def told(path: Path, error: BaseException) -> str:
    """Return what is wrong with a file in use, and what to do about damage: no try again mends it."""
    if not is_damage(error):
        return _in_words(path, error)
    # A disk that can't be read for a moment looks the same.
    return (
        f"{path}: {error}. If it is so again after a restart, stop the service, and put a copy of the file "
        "back or move it away with the -wal and -shm beside it: the service then begins a new one"
    )


def identity(path: Path) -> tuple[int, int] | None:
    """Return which database a path leads to now; None if to none that can be seen, or to an empty one."""
    # Also an empty one takes commits, which the next start throws away with the rest of its write-ahead log.
    return inode(path, at_least_bytes=1)


def inode(path: Path, *, at_least_bytes: int = 0) -> tuple[int, int] | None:
    """Return which file a path leads to now; None if to none that can be seen, or to a smaller one."""
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_dev, found.st_ino) if found.st_size >= at_least_bytes else None


@contextmanager
def named_failures(path: Path) -> Iterator[None]:
    """Turn what SQLite and the file system raise into LogUnavailableError with the path."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        raise LogUnavailableError(_in_words(path, error)) from error


def must_be_there(path: Path) -> None:
    """Refuse a file that isn't there, for a command that looks at a log and makes none.

    Raises:
        LogUnavailableError: it isn't there, or this user can't see whether it is.
    """
    try:
        path.stat()
    except PermissionError:
        raise LogUnavailableError(f"{path}: this user may not look there; {_AS_ITS_USER}") from None
    except OSError:
        raise LogUnavailableError(
            f"{path}: no log is there yet; the service makes it at its first start"
        ) from None
    _refuse_no_file(path)


def _refuse_no_file(path: Path) -> None:
    """Refuse a folder, and a pipe or a device: who only reads would wait for a pipe's other end for ever."""
    if path.is_dir():
        raise LogUnavailableError(f"{path}: is a folder; name a file in it")
    if path.exists() and not path.is_file():
        raise LogUnavailableError(f"{path}: is no regular file; name another path")


def _in_words(path: Path, error: BaseException) -> str:
    """Return what is wrong with a file; SQLite has the same words for several things that a user can mend."""
    code: int = getattr(error, "sqlite_errorcode", 0)
    if code & 0xFF in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN):
        there_unwritable = os.access(path, os.F_OK) and not os.access(path, os.W_OK)
        if there_unwritable or not os.access(path.parent, os.W_OK | os.X_OK):
            return (
                f"{path}: this user may not write it or its folder, which reading needs too, or the file "
                f"system is read-only; {_AS_ITS_USER}"
            )
    return f"{path}: {error}"


def check(connection: sqlite3.Connection, path: Path, kind: Kind) -> None:
    """Refuse a file that is of another kind or version.

    Raises:
        LogUnavailableError: it is something else; it says what to do.
    """
    application = _number(connection, "application_id")
    version = _number(connection, "user_version")
    if application != kind.application:
        raise LogUnavailableError(f"{path}: this file is not {kind.name}; name another path")
    if version > kind.version:
        raise LogUnavailableError(
            f"{path}: {kind.name} of version {version}, newer than the version {kind.version} that this "
            "program knows; run the newer program, or name another path"
        )


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Hold the file's write lock, and commit at the end, or leave all as it was after an error."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _prepare(connection: sqlite3.Connection, path: Path, kind: Kind) -> None:
    with transaction(connection):
        if _holds_anything(connection):
            check(connection, path, kind)
        else:
            for statement in kind.schema.split(";\n"):
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {kind.application}")
            connection.execute(f"PRAGMA user_version = {kind.version}")
    # Last, so that a file which turned out to be another program's is left as it was.
    if connection.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
        raise LogUnavailableError(
            f"{path}: no write-ahead log is possible here; is it a network file system?"
        )


def _holds_anything(connection: sqlite3.Connection) -> bool:
    """Whether it is more than an empty file, which may become one of any kind."""
    tables: int = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    return tables > 0


def _number(connection: sqlite3.Connection, pragma: str) -> int:
    number: int = connection.execute(f"PRAGMA {pragma}").fetchone()[0]
    return number


def _make(path: Path) -> None:
    """Make the file if it isn't there. What SQLite puts beside it has the same rights."""
    # One that is there isn't opened: whoever closes it would let go of the locks that this process has on it.
    # What else is wrong SQLite will say.
    with suppress(OSError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, FILE_MODE))


def make_folders(folder: Path) -> None:
    """Make what is missing, and sync each entry: a file is as durable as the folders above it."""
    missing = []
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    for one in reversed(missing):
        one.mkdir(exist_ok=True)
        descriptor = os.open(one.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
