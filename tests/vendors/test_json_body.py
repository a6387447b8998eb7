"""What no strict reader of JSON takes is mended, and nothing else is touched."""

import json

from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import from_json

from monitor.vendors.json_body import whole_characters

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
