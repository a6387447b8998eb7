r"""Mends the bodies that MetaStudio's page prints and that aren't JSON.

The page's samples of a finished reply put an object into quotes and leave quotes inside it bare:
`"message":"{\"reply_id\":\"e871…"}"` and `"data":"{ "reply_id":"e871…" }"`. Whether the vendor
sends them so is unknown.
"""

import re
from collections.abc import Iterator
from typing import TypeVar

from pydantic import ValidationError

from monitor.vendors.json_body import Body, is_not_json, undecodable

B = TypeVar("B", bound=Body)

_ESCAPED = re.compile(rb'\\(["\\/])')


def parse_repaired(model: type[B], body: bytes, field: str, error: ValidationError, at: str = "") -> B:
    """Parse a body that was found not to be what a model says, in the forms that it may have meant.

    Args:
        model: what the body must be.
        body: as it came.
        field: whose object may stand in quotes.
        error: what was found.
        at: where the body stands in what came.

    Raises:
        UndecodableError: not_json, no_job_id or wrong_type, of the body as it came.
    """
    if is_not_json(error):
        for repaired in _repairs(body, field):
            try:
                return model.model_validate_json(repaired)
            except ValidationError:
                continue
    raise undecodable(error, at) from None


def _repairs(body: bytes, field: str) -> Iterator[bytes]:
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
