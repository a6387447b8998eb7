"""Hides secrets in a body before an operator sees it: push addresses, keys, signatures, tokens."""

import json
import re
from typing import Any

MASK = "***"

_SECRET = re.compile(
    r"^(((stream|auth|access|api|app|private)_?)?keys?|output_?urls?|push_?urls?|sign|signature|authorization"
    r"|.*token|.*secret.*|.*password|user_?data|.*callback_?url)$",
    re.IGNORECASE,
)

_LOOSE = re.compile(
    r"(keys?|output_?urls?|push_?urls?|sign|signature|authorization|token|secret|password|user_?data"
    r"|callback_?url)"
    r'(\W{1,8})[^"]*',
    re.IGNORECASE,
)

_CONTROL = re.compile(r"\r(?!\n)|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
"""What a terminal would obey rather than show; line ends and tabs are none."""


def masked(body: bytes) -> str:
    """Return a body as text with what is secret in it replaced by `***`.

    JSON inside of JSON texts is looked through as well. What isn't JSON is masked by the look of it.
    """
    text = body.decode("utf-8", "backslashreplace")
    try:
        shown = json.dumps(_walk(json.loads(text)), ensure_ascii=False)
    except (ValueError, RecursionError):
        shown = _LOOSE.sub(rf"\1\2{MASK}", text)
    # JSON may escape half of a surrogate pair, which no encoding can write.
    shown = shown.encode("utf-8", "backslashreplace").decode()
    return _CONTROL.sub(lambda one: f"\\x{ord(one[0]):02x}", shown)


def _walk(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: MASK if _SECRET.match(name) else _walk(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_walk(inner) for inner in value]
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        try:
            return json.dumps(_walk(json.loads(value)), ensure_ascii=False)
        except ValueError:
            return _LOOSE.sub(rf"\1\2{MASK}", value)
    return value
