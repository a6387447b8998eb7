r"""Mends the bodies that MetaStudio's page prints and that aren't JSON.

The page's samples of a finished reply put an object into quotes and leave quotes inside it bare:
`"message":"{\"reply_id\":\"e871…"}"` and `"data":"{ "reply_id":"e871…" }"`. Whether the vendor
sends them so is unknown.
"""

import re
from collections.abc import Iterator

_ESCAPED = re.compile(rb'\\(["\\/])')


def repairs(body: bytes, field: str) -> Iterator[bytes]:
    """Yield what a body may have meant, with the quotes around the object in `field` taken off.

    Nothing is yielded where the body has no such quoted object; what is yielded may not be JSON.
    """
    opening = re.search(rb'"' + field.encode() + rb'"\s*:\s*"(?=\s*\{)', body)
    if opening is None:
        return
    # The object ends at the last brace that a quote follows: after it come at most other fields.
    closing = re.compile(rb'.*\}(?=\s*")', re.DOTALL).match(body, opening.end())
    if closing is None:
        return
    before = body[: opening.end() - 1]
    inside = closing.group()
    after = body[closing.end() :].lstrip()[1:]
    yield before + inside + after
    yield before + _ESCAPED.sub(rb"\1", inside) + after
