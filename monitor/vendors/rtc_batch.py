"""Takes apart what a relay posts: one RTC message, a JSON array of them, or one a line (NDJSON)."""

import re
from codecs import BOM_UTF8
from json import JSONDecoder

from monitor.errors import UndecodableError

MOST_MESSAGES = 10_000
"""The most messages that one request may carry."""

MOST_BROKEN = 20
"""Of an array with more messages that aren't JSON than these, nothing is told apart: each is looked for."""

_SPACE = re.compile(r"[ \t\r\n]*")
_END_OF_BROKEN = re.compile(r"\}(?=[ \t\r\n]*(?:,[ \t\r\n]*\{|\][ \t\r\n]*\Z))")
_decoder = JSONDecoder()


def split_rtc(body: bytes) -> list[bytes]:
    """Return the messages of a request, each with exactly the bytes that it came with, but a byte order mark.

    A message that isn't JSON doesn't take its neighbours along: each line of NDJSON stands alone, and
    so does each object of an array. What is neither a whole array nor lines is one message, for the
    decoder to judge.

    Raises:
        UndecodableError: too_many.
    """
    body = body.removeprefix(BOM_UTF8)
    # A message that isn't UTF-8 must not spoil the others either.
    text = body.decode(errors="surrogateescape")
    if text[_space(text, 0) :].startswith("["):
        return _elements(text) or ([] if _is_empty_array(text) else [body])
    if b"\n" not in body.strip():
        return [body]
    end = _end_of_value(text, _space(text, 0))
    if end is not None and _space(text, end) == len(text):
        return [body]
    return _lines(body) if _holds_objects_by_line(body) else [body]


def _elements(text: str) -> list[bytes]:
    """Return the slices of an array's elements; nothing if it isn't an array through and through.

    The vendor's page prints a message that isn't JSON. Such an object ends where the next one begins, or
    the array ends.
    """
    slices: list[bytes] = []
    broken = 0
    position = _space(text, 0) + 1
    while True:
        position = _space(text, position)
        end = _end_of_value(text, position)
        if end is None:
            broken += 1
            closing = _END_OF_BROKEN.search(text, position)
            if closing is None or text[position] != "{" or broken > MOST_BROKEN:
                return []
            end = closing.end()
        if len(slices) == MOST_MESSAGES:
            raise _too_many()
        slices.append(text[position:end].encode(errors="surrogateescape"))
        position = _space(text, end)
        follows = text[position : position + 1]
        if follows == "]" and _space(text, position + 1) == len(text):
            return slices
        if follows != ",":
            return []
        position += 1


def _is_empty_array(text: str) -> bool:
    inside = _space(text, _space(text, 0) + 1)
    return text[inside : inside + 1] == "]" and _space(text, inside + 1) == len(text)


def _lines(body: bytes) -> list[bytes]:
    lines = [line for line in (line.strip(b" \t\r") for line in body.split(b"\n")) if line]
    if len(lines) > MOST_MESSAGES:
        raise _too_many()
    return lines


def _holds_objects_by_line(body: bytes) -> bool:
    """Tell NDJSON from one message printed over several lines, of which no line is an object."""
    stripped = (line.strip() for line in body.split(b"\n"))
    return any(line.startswith(b"{") and line.endswith(b"}") for line in stripped)


def _space(text: str, position: int) -> int:
    """Return where the white space that begins here ends."""
    match = _SPACE.match(text, position)
    return match.end() if match else position


def _end_of_value(text: str, position: int) -> int | None:
    """Return where the JSON value that begins here ends, None if there is none."""
    try:
        return _decoder.raw_decode(text, position)[1]
    except (ValueError, RecursionError):
        # RecursionError: a thousand brackets in a row.
        return None


def _too_many() -> UndecodableError:
    return UndecodableError("too_many", f"more than {MOST_MESSAGES} messages in one request")
