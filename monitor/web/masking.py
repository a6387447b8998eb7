"""Hides secrets in a body before an operator sees it: push addresses, keys, signatures, tokens."""

import json
import re
from typing import Any

MASK = "***"

_SECRET = re.compile(
    r"^(stream_keys?|output_urls?|key|signature|.*token|.*secret.*|auth_?key|sign|user_?data|.*callback_url)$",
    re.IGNORECASE,
)

_LOOSE = re.compile(r'(stream_keys?|output_urls?|key|signature|token|secret)(\W{1,8})[^"]*', re.IGNORECASE)


def masked(body: bytes) -> str:
    """Return a body as text with what is secret in it replaced by `***`.

    JSON inside of JSON texts is looked through as well. What isn't JSON is masked by the look of it.
    """
    text = body.decode("utf-8", "backslashreplace")
    try:
        return json.dumps(_walk(json.loads(text)), ensure_ascii=False)
    except (ValueError, RecursionError):
        return _LOOSE.sub(rf"\1\2{MASK}", text)


def _walk(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: MASK if _SECRET.match(name) else _walk(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_walk(inner) for inner in value]
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            return json.dumps(_walk(json.loads(value)), ensure_ascii=False)
        except ValueError:
            return _LOOSE.sub(rf"\1\2{MASK}", value)
    return value
