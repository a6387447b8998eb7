"""Mappings that are empty in nearly all streams.

An empty dict takes 64 bytes and one of a single entry 180, of which a stream would hold a dozen. So these are
replaced, never changed: what is empty is one object for all, and a copy of a state's part holds the same one.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

K = TypeVar("K")
V = TypeVar("V")

NOTHING: Mapping[Any, Any] = {}
"""The empty mapping."""


def nothing() -> Mapping[Any, Any]:
    """Return the empty mapping, as the default of a dataclass's field."""
    return NOTHING


def without(mapping: Mapping[K, V], key: K) -> Mapping[K, V]:
    """Return the mapping less one of its keys, if it has that."""
    if key not in mapping:
        return mapping
    return {other: value for other, value in mapping.items() if other != key} or NOTHING
