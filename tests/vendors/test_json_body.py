"""What no strict reader of JSON takes is mended, and nothing else is touched."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json

from monitor.vendors.json_body import Count, Identifier, OptionalIdentifier, whole_characters

DEPTHS = st.integers(0, 2)
CHARACTERS = ("a", "é", "\\", '"', "\N{GRINNING FACE}")
HALVES = ("\ud83d", "\ude00", "\udbff", "\udfff")
CUT_TEXTS = st.lists(st.sampled_from(CHARACTERS + HALVES)).map("".join)


def written(text: str, depth: int) -> bytes:
    """Return JSON that holds a text, in strings of JSON that many deep."""
    document = json.dumps({"text": text})
    for _ in range(depth):
        document = json.dumps({"text": document})
    return document.encode()


def read(document: bytes, depth: int) -> str:
    found: str = from_json(document)["text"]
    return found if depth == 0 else read(found.encode(), depth - 1)


@given(CUT_TEXTS, DEPTHS)
def test_half_a_surrogate_pair_becomes_the_replacement_character_at_any_depth(text: str, depth: int) -> None:
    paired = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")

    assert read(whole_characters(written(text, depth)), depth) == paired


@given(st.lists(st.sampled_from(CHARACTERS)).map("".join), DEPTHS)
def test_whole_characters_stay_as_they_came(text: str, depth: int) -> None:
    document = written(text, depth)

    assert whole_characters(document) == document


@pytest.mark.parametrize("kind", [Identifier, OptionalIdentifier])
@pytest.mark.parametrize("text", ["i", "i" * 256, "é /\u2028"])
def test_an_id_is_any_text_of_up_to_256_characters(kind: Any, text: str) -> None:
    assert TypeAdapter(kind).validate_python(text) == text


@pytest.mark.parametrize("kind", [Identifier, OptionalIdentifier])
@pytest.mark.parametrize("value", ["i" * 257, "one\ntwo", "\x00", "\x85", 7, []])
def test_what_is_too_long_or_holds_a_control_character_is_no_id(kind: Any, value: object) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(kind).validate_python(value)


@pytest.mark.parametrize(("written", "number"), [("0", 0), ('"2"', 2), ("9007199254740991", 2**53 - 1)])
def test_a_count_is_a_whole_number_or_its_digits(written: str, number: int) -> None:
    assert TypeAdapter[int](Count).validate_json(written) == number


@pytest.mark.parametrize("written", ["-1", "9007199254740992", "1.5", '""', "null", "NaN", "1e400"])
def test_what_every_json_reader_could_not_carry_exactly_is_no_count(written: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter[int](Count).validate_json(written)


def test_a_long_run_of_backslashes_is_looked_through_once() -> None:
    # Looked through from each of them, these would take hours.
    text = rb"\ud" + b"\\" * 3_000_000

    assert whole_characters(text) == text
