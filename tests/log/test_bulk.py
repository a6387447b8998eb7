import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.log import bulk
from tests.log.making import TEXT


@given(st.lists(st.tuples(st.integers(-(2**63), 2**63 - 1), st.none() | TEXT, st.binary()), max_size=150))
def test_rows_come_out_as_they_went_in(rows: list[tuple[int, str | None, bytes]]) -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.execute("CREATE TABLE things (number, name, body)")

    bulk.insert(connection, "INSERT INTO things", 3, rows)
    query = bulk.gather("number, name", "body", "SELECT * FROM things ORDER BY rowid")
    gathered = connection.execute(query).fetchone()
    connection.close()

    assert [(number, name, body) for (_, number, name), body in bulk.scatter(gathered)] == rows


@pytest.mark.parametrize("rows", [1, 64, 65, 129])
def test_insert_returns_the_last_rowid(rows: int) -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.execute("CREATE TABLE things (number)")

    assert bulk.insert(connection, "INSERT INTO things", 1, [(0,)] * rows) == rows
    assert bulk.insert(connection, "INSERT INTO things", 1, []) is None
    connection.close()


def test_bodies_of_another_length_than_they_say_are_refused() -> None:
    with pytest.raises(sqlite3.DatabaseError, match="1 bytes of bodies, 3 are kept"):
        bulk.scatter(("[[1], [2]]", b"x"))
