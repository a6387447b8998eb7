"""SoftSugar's error codes: what each says, and whose business it is.

The codes and messages are the vendor's page's, the categories are ours. They stand in
`error_codes.csv` as code, message, category; 0 is success, so it has no category.
"""

import csv
from enum import StrEnum
from importlib.resources import files
from types import MappingProxyType
from typing import NamedTuple


class Category(StrEnum):
    """Whose business an error is.

    account: who we are to the vendor (log-in, keys, validity). permission: what we may do. quota:
    what our account may have. capacity: what the vendor has left. session: a live session's course.
    input: what was asked can't be done as asked. platform: the vendor's own trouble.
    """

    ACCOUNT = "account"
    PERMISSION = "permission"
    QUOTA = "quota"
    CAPACITY = "capacity"
    SESSION = "session"
    INPUT = "input"
    PLATFORM = "platform"


class ErrorCode(NamedTuple):
    """An error. message: the vendor's, in which %s stands for what it fills in."""

    code: int
    message: str
    category: Category


def _read() -> dict[int, ErrorCode]:
    table = files("monitor.vendors.softsugar").joinpath("error_codes.csv")
    rows = csv.DictReader(table.read_text("utf-8").splitlines())
    return {
        int(row["code"]): ErrorCode(int(row["code"]), row["message"], Category(row["category"]))
        for row in rows
        if row["category"]
    }


ERROR_CODES = MappingProxyType(_read())
"""Every published error by its code."""

ALERTING = tuple(
    code for code, error in ERROR_CODES.items() if error.category in (Category.QUOTA, Category.CAPACITY)
)
"""The codes that say that no more can be had: their counters exist from the start."""


def lookup(code: int) -> ErrorCode | None:
    """Return what a code means; None if it isn't published, or is success."""
    return ERROR_CODES.get(code)


def error_category(code: int) -> str | None:
    """Return the category of an error; None if its code isn't published."""
    error = ERROR_CODES.get(code)
    return None if error is None else error.category


def error_message(code: int) -> str | None:
    """Return the vendor's message of an error, `…` where it fills in; None if its code isn't published."""
    error = ERROR_CODES.get(code)
    return None if error is None else error.message.replace("%s", "…")


def alerting_codes() -> tuple[tuple[int, str], ...]:
    """Return the codes that say that no more can be had, each with its category."""
    return tuple((code, ERROR_CODES[code].category) for code in ALERTING)
