"""Many rows with one step of SQLite.

Python gives up its global lock around every step of a statement, a step is made for every row, and a
thread that gave the lock up waits until the event loop's thread lets go of it: up to 5 ms while that
one computes. A thousand rows read one by one beside a busy event loop took seconds. So rows go in by
statements that hold many, and come out gathered into one.
"""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import accumulate, chain, pairwise
from typing import Any

Row = Sequence[Any]

CHUNK = 64
"""Rows in a statement at most. Statements of up to that many rows all stay prepared (see `connect`)."""

STATEMENTS_KEPT = 4 * CHUNK


def insert(
    connection: sqlite3.Connection, before: str, columns: int, rows: Sequence[Row], after: str = ""
) -> int | None:
    """Run `<before> VALUES (…), (…) <after>` for all rows, a few statements in all.

    Returns:
        The rowid of the last row that was inserted.
    """
    last = None
    for start in range(0, len(rows), CHUNK):
        part = rows[start : start + CHUNK]
        last = connection.execute(f"{before} {values(len(part), columns)} {after}", flat(part)).lastrowid
    return last


@lru_cache(maxsize=STATEMENTS_KEPT)
def values(rows: int, columns: int) -> str:
    """Return `VALUES` with that many rows of parameters."""
    row = f"({','.join('?' * columns)})"
    return f"VALUES {','.join([row] * rows)}"


def flat(rows: Sequence[Row]) -> list[Any]:
    """Return the parameters of many rows in one list."""
    return list(chain.from_iterable(rows))


def gather(columns: str, body: str, rows: str) -> str:
    """Return a SELECT that gives all rows as one, for `scatter`.

    Args:
        columns: numbers and texts, divided by commas; no REAL, whose digits JSON would cut.
        body: the column of bytes.
        rows: a SELECT of them, in order.
    """
    return (
        f"SELECT json_group_array(json_array(length({body}), {columns})), "  # noqa: S608 - names from here
        f"CAST(group_concat({body}, '') AS BLOB) FROM ({rows})"
    )


def scatter(gathered: tuple[str, bytes | None]) -> Iterator[tuple[list[Any], bytes]]:
    """Give each row back: a list whose first item is the body's length, then the columns; and the body.

    Raises:
        sqlite3.DatabaseError: the bodies aren't as long together as each says. SQLite joined them as
            text; should a version of it stop at a NUL, no body must come out as another.
    """
    rows: list[list[Any]] = json.loads(gathered[0])
    bodies = gathered[1] or b""
    ends = list(accumulate((row[0] for row in rows), initial=0))
    if ends[-1] != len(bodies):
        raise sqlite3.DatabaseError(
            f"SQLite {sqlite3.sqlite_version} returned {len(bodies)} bytes of bodies, {ends[-1]} are kept"
        )
    return ((row, bodies[start:end]) for row, (start, end) in zip(rows, pairwise(ends), strict=True))
