"""Hides secrets before an operator sees a body or a text: push addresses, keys, signatures, tokens."""

import json
import re
from collections.abc import Iterator
from typing import Any

MASK = "***"
"""What stands in the place of a secret, on pages and in what is said of a vendor's answer."""

_SECRET = re.compile(
    r"^(((stream|auth|access|api|app|private)_?)?keys?|ak|sk|.*(output|push|stream|rtmp|report|callback)_?urls?"
    r"|sign|signature|authorization|.*token|.*secret.*|.*password|pwd|user_?data)$",
    re.IGNORECASE,
)

_NAMES = (
    r"(keys?|(?:output|push|stream|rtmp|report|callback)_?urls?|sign|signature|authorization|token|secret"
    r"|password|pwd|user_?data)"
)

# A value in quotes ends at a quote with as many backslashes as its first: JSON in a string of JSON has them
# escaped, at each depth once more. What was cut off is a secret to its end.
_ASSIGNED = re.compile(
    _NAMES + r"""(\\*["']?\s*[:=]\s*)"""
    r"""((\\*["'])(?:(?!(?<!\\)\4).)*|\[[^\]]*|\{[^}]*|(?!\\*["'])[^"]*)""",
    re.IGNORECASE | re.DOTALL,
)

_BESIDE = re.compile(_NAMES + r'(\W{1,8})[^"]*', re.IGNORECASE)

# What an address is made of; anything but ASCII is the sentence around it. JSON escapes slashes and &.
_OF_ADDRESS = r"""(?:[!#-&(-;=?-\[\]-~]|\\+(?:/|u0026))"""
_BEFORE_QUERY = r"""(?:[!$-&(-;=@-\[\]-~]|\\+/)"""
_SLASHES = r"""(?:\\*/){2}"""

# A key is a part of the address that is pushed to, whatever name the address has.
_PUSHED_TO = re.compile(rf"((?:rtmp[a-z]{{0,3}}|rtsp|srt|webrtc):{_SLASHES}){_OF_ADDRESS}+", re.IGNORECASE)

_USER = re.compile(rf"""(:{_SLASHES})[^\s/?#"'<>\\]+@""")

# Each address is taken whole, with a query or without, so that nothing is looked at twice.
_ADDRESS = re.compile(rf"(:{_SLASHES}{_BEFORE_QUERY}*)(?:([?#]){_OF_ADDRESS}+)?")

_CONTROL = re.compile(r"\r(?!\n)|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
"""What a terminal would obey rather than show; line ends and tabs are none."""


def masked(body: bytes) -> str:
    """Return a body as text with what is secret in it replaced by `***`.

    JSON inside of JSON texts is looked through as well. What isn't JSON is masked by the look of it.
    """
    text = body.decode("utf-8-sig", "backslashreplace")
    try:
        shown = json.dumps(without_secrets(json.loads(text)), ensure_ascii=False)
    except (ValueError, RecursionError):
        shown = _masked_by_looks(text)
    # JSON may escape half of a surrogate pair, which no encoding can write.
    shown = shown.encode("utf-8", "backslashreplace").decode()
    return _CONTROL.sub(lambda one: f"\\x{ord(one[0]):02x}", shown)


def text_without_secrets(text: str) -> str:
    """Return a text that people wrote with what is secret of the addresses in it replaced by `***`."""
    if "/" not in text:
        return text
    text = _PUSHED_TO.sub(rf"\g<1>{MASK}", text)
    return _ADDRESS.sub(_mask_query, _USER.sub(rf"\g<1>{MASK}@", text))


def secrets_in(value: Any) -> Iterator[str]:
    """Give each text of a JSON value that `without_secrets` would mask for its name."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _texts_in(inner) if _SECRET.match(name) else secrets_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from secrets_in(inner)


def without_secrets(value: Any) -> Any:
    """Return a JSON value with what is secret in it, JSON in its texts included, replaced by `***`."""
    if isinstance(value, dict):
        return {
            name: MASK if _SECRET.match(name) else without_secrets(inner) for name, inner in value.items()
        }
    if isinstance(value, list):
        return [without_secrets(inner) for inner in value]
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        try:
            return json.dumps(without_secrets(json.loads(value)), ensure_ascii=False)
        except ValueError:
            return _masked_by_looks(value)
    if isinstance(value, str) and ("{" in value or "[" in value):
        # Something stands before the JSON. In a mere text, a word such as "key" tells nothing by itself.
        return text_without_secrets(_ASSIGNED.sub(_mask_assigned, value))
    return text_without_secrets(value) if isinstance(value, str) else value


def _texts_in(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts_in(inner)


def _masked_by_looks(text: str) -> str:
    return text_without_secrets(_BESIDE.sub(_mask_beside, _ASSIGNED.sub(_mask_assigned, text)))


def _mask_assigned(found: re.Match[str]) -> str:
    return f"{found[1]}{found[2]}{found[4] or ''}{MASK}"


def _mask_query(found: re.Match[str]) -> str:
    return found[0] if found[2] is None else f"{found[1]}{found[2]}{MASK}"


def _mask_beside(found: re.Match[str]) -> str:
    """Mask what stands behind a name; what was masked already stays as it is."""
    return found[0] if MASK in found[2] else f"{found[1]}{found[2]}{MASK}"
