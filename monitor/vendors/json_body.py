"""What all bodies have in common: how they are read as JSON, and how a failure is named."""

import contextlib
import re
from codecs import BOM_UTF8
from typing import Annotated, Any, ClassVar, Self, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    StringConstraints,
    ValidationError,
    model_validator,
)
from pydantic_core import from_json

from monitor.errors import UndecodableError


class Body(BaseModel):
    """A JSON object of a vendor. Fields that nobody published are passed over, never refused."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)


class PartlyReadableBody(Body):
    """A JSON object of which what matters is read where anything else is amiss.

    what_matters: the names of those fields, as the vendor spells them.
    """

    what_matters: ClassVar[tuple[str, ...]]

    @model_validator(mode="wrap")
    @classmethod
    def _read_what_matters(cls, document: Any, read: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return read(document)
        except ValidationError:
            if isinstance(document, dict):
                with contextlib.suppress(ValidationError):
                    return read({name: document[name] for name in cls.what_matters if name in document})
            raise


B = TypeVar("B", bound=Body)

Identifier = Annotated[str, StringConstraints(min_length=1, max_length=256, pattern=r"^\P{Cc}*$")]
"""An id: 1 to 256 characters, none of them a control character (ids go into URLs and labels)."""

OptionalIdentifier = Annotated[str, StringConstraints(max_length=256, pattern=r"^\P{Cc}*$")] | None
"""An id that may be absent, null or empty."""

# The limit is what JSON numbers carry exactly everywhere.
Count = Annotated[int, Field(ge=0, le=2**53 - 1)]
"""A whole number from 0, written as a number or as digits in a string: vendors do both."""

_HALF = re.compile(rb"\\u[dD]")

# The first half of a pair, and the second if it follows; or the second alone. A run of backslashes is
# looked at from its beginning alone: from each of them, a long one would take hours.
_SURROGATES = re.compile(
    rb"(?<!\\)(?:(\\+u)[dD][89abAB][0-9a-fA-F]{2}(?:(\\+u)[dD][c-fC-F][0-9a-fA-F]{2})?"
    rb"|(\\+u)[dD][c-fC-F][0-9a-fA-F]{2})"
)


def whole_characters(text: bytes) -> bytes:
    """Return JSON in which the replacement character stands for half of a surrogate pair, at any depth.

    Who cuts a title to a number of UTF-16 units can cut an emoji in two and escape the half. No UTF-8
    can hold that, and a strict reader refuses all of the text for it. A byte order mark before the text,
    which RFC 8259 lets a reader pass over, is taken off for the same reason.
    """
    text = text.removeprefix(BOM_UTF8)
    # Nearly all texts are told from the others by a search.
    if _HALF.search(text) is None:
        return text
    return _SURROGATES.sub(_whole_character, text)


def _whole_character(found: re.Match[bytes]) -> bytes:
    first, second, alone = found.groups()
    if second is None:
        return bytes(first or alone) + b"fffd"
    # JSON in a string of JSON has its backslashes doubled, at each depth once more. Those of the escape
    # itself are the greatest power of two that divides their number; the others are the text's own.
    backslashes = len(first) - 1
    if len(second) - 1 == backslashes & -backslashes:
        return found[0]
    return bytes(first + b"fffd" + second + b"fffd")


def undecodable(error: ValidationError, at: str = "") -> UndecodableError:
    """Name what a validation found, without the input.

    Args:
        error: of a model whose identity, if it has one, is called `job_id`.
        at: where in the body the validated part stands.
    """
    details = error.errors(include_url=False, include_context=False, include_input=False)
    for detail in details:
        if detail["type"] == "missing" and detail["loc"][-1] == "job_id":
            return UndecodableError("no_job_id", f"{_path(at, detail['loc'])} is missing")
    first = details[0]
    reason = "not_json" if first["type"] == "json_invalid" else "wrong_type"
    # A model's own name says nothing to whoever reads this.
    message = "must be an object" if first["type"] == "model_type" else first["msg"]
    return UndecodableError(reason, f"{_path(at, first['loc']) or 'the body'}: {message}")


def parse_body(model: type[B], body: bytes) -> B:
    """Parse a body that must be what a model says.

    Raises:
        UndecodableError: not_json, no_job_id or wrong_type.
    """
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise undecodable(error) from None


def is_not_json(error: ValidationError) -> bool:
    """Tell whether a validation failed because the text isn't JSON at all."""
    return any(detail["type"] == "json_invalid" for detail in error.errors(include_input=False))


def parse_object(body: bytes) -> dict[str, Any]:
    """Parse a body that must be a JSON object.

    Raises:
        UndecodableError: not_json or wrong_type.
    """
    try:
        document = from_json(body)
    except ValueError:
        raise UndecodableError("not_json", "the body isn't JSON") from None
    if not isinstance(document, dict):
        raise UndecodableError("wrong_type", "the body: must be an object")
    return document


def _path(at: str, location: tuple[int | str, ...]) -> str:
    return ".".join([at, *map(str, location)] if at else map(str, location))
