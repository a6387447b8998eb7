"""What a vendor's API is asked, and what its answers say."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import httpx
from pydantic import ValidationError
from pydantic_core import from_json

from monitor.masking import MASK, secrets_in
from monitor.vendors.api_errors import PERHAPS_DONE, UnreadableError, VendorSaid
from monitor.vendors.json_body import Body, whole_characters

B = TypeVar("B", bound=Body)

MOST_ANSWER_BYTES = 8 * 1024 * 1024
"""A longer answer is cut off: nothing that is asked for comes near it."""


SHORTEST_SECRET = 4
"""Characters; less than that is in every text."""


class Call(NamedTuple):
    """A request before it has an authorization. path: begins with a slash. query: not quoted.

    repeatable: whether asking twice is as good as asking once. name: stands for the path in errors, as
    `(list)`.
    """

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    repeatable: bool = False
    name: str = ""

    def __str__(self) -> str:
        return f"{self.method} {self.name or self.path}"

    @property
    def doubt(self) -> str:
        """What to add to a failure after which nobody knows whether a call that changes something did so."""
        return "" if self.repeatable else PERHAPS_DONE

    def hide(self, text: str | None) -> str | None:
        """Return what the vendor said, with what it repeats of the request's secrets replaced by `***`."""
        if text is None or not self.body:
            return text
        # The longest first: one may begin with another.
        for secret in sorted(secrets_in(from_json(self.body)), key=len, reverse=True):
            if len(secret) >= SHORTEST_SECRET:
                text = text.replace(secret, MASK)
        return text


class Answer(NamedTuple):
    """An answer of any status. document: what its JSON holds."""

    status: int
    document: Any
    request_id: str | None


def read_answer(call: Call, response: httpx.Response, content: bytes) -> Answer:
    """Return what came.

    Raises:
        UnreadableError: it is too long, or promises to be an answer and isn't JSON.
    """
    request_id = _request_id(response)
    if len(content) > MOST_ANSWER_BYTES:
        raise UnreadableError(
            str(call),
            f"the answer is too long{call.doubt}",
            VendorSaid(response.status_code, request_id=request_id),
        )
    if not content.strip():
        # An empty answer of some status: a proxy's, or a 204.
        return Answer(response.status_code, None, request_id)
    try:
        # By what it holds, not by its content type: gateways label JSON as text or as nothing.
        document = from_json(whole_characters(content))
    except ValueError:
        if response.status_code >= 300:
            # A gateway's page, or a redirect's; the status alone says enough.
            return Answer(response.status_code, None, request_id)
        kind = response.headers.get("content-type", "none").partition(";")[0][:60]
        said = VendorSaid(response.status_code, request_id=request_id)
        raise UnreadableError(str(call), f"the answer ({kind}) isn't JSON{call.doubt}", said) from None
    return Answer(response.status_code, document, request_id)


def _request_id(response: httpx.Response) -> str | None:
    text = response.headers.get("x-request-id")
    return text[:80] if text else None


def said_by(call: Call, response: httpx.Response, content: bytes) -> VendorSaid:
    """Return what an answer that isn't looked into says of itself, in either vendor's spelling."""
    status, request_id = response.status_code, _request_id(response)
    try:
        document = from_json(whole_characters(content))
    except ValueError:
        document = None
    if not isinstance(document, dict):
        return VendorSaid(status, request_id=request_id)
    code, message = text_in(document, "error_code", "code"), text_in(document, "error_msg", "message")
    return VendorSaid(status, code, call.hide(message), request_id=request_id)


def validated(
    model: type[B],
    document: Any,
    call: Call,
    answer: Answer,
    at: str = "",
) -> B:
    """Return what an answer says; else name the first thing that is amiss, without what the vendor sent.

    Args:
        model: what it must be.
        document: the answer, or a part of it.
        call: what was asked.
        answer: what came.
        at: where in the answer the document stands; empty: it is all of it.

    Raises:
        UnreadableError: it isn't what the vendor's page promises.
    """
    try:
        return model.model_validate(document)
    except ValidationError as error:
        detail = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join([*([at] if at else []), *map(str, detail["loc"])]) or "the answer"
        said = VendorSaid(answer.status, request_id=answer.request_id)
        # A model's own name says nothing to whoever reads this.
        message = "must be an object" if detail["type"] == "model_type" else detail["msg"]
        raise UnreadableError(str(call), f"{where}: {message}{call.doubt}", said) from None


def readable(
    model: type[B], documents: Sequence[Any], call: Call, answer: Answer, at: str
) -> tuple[list[B], UnreadableError | None]:
    """Return the entries of a list that are what they must be, and what is wrong with the first other one.

    One odd entry hides none of the others so; but who isn't among them may be the odd one.

    Args:
        model: what each entry must be.
        documents: the list.
        call: what was asked.
        answer: what came.
        at: where in the answer the list stands.
    """
    read: list[B] = []
    odd: UnreadableError | None = None
    for place, document in enumerate(documents):
        try:
            read.append(validated(model, document, call, answer, f"{at}.{place}"))
        except UnreadableError as error:
            odd = odd or error
    return read, odd


def refusal(status: int) -> str:
    """Say of a status below 500 that the vendor does not do what was asked."""
    if 300 <= status < 400:
        return f"was sent elsewhere (status {status}); name the API's own address in [sources.api] endpoint"
    return f"was refused (status {status})"


def text_in(document: Mapping[str, Any], *names: str) -> str | None:
    """Return the first of the fields that has a text or a number, as text."""
    for name in names:
        value = document.get(name)
        if isinstance(value, str | int) and not isinstance(value, bool) and value != "":
            return str(value)
    return None
