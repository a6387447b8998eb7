"""How much one request, and one source, may take of the receiver."""

from typing import NamedTuple


class Limits(NamedTuple):
    """The receiver's limits; each is there so that one source can't take what another needs.

    max_body_bytes: of one request. body_seconds: how long a body may take to arrive; both vendors send
    a few hundred bytes at once. reading: requests of one source whose body is still on its way, of which
    the oldest gives way to one more; what they hold is bounded by this times max_body_bytes and a read
    buffer, and it is a third of the server's connections, because before the body is there nobody has
    proved anything. storing: requests of one source that wait for the log; two thirds of the connections,
    so that a source that floods a slow log still leaves room for the others.
    """

    max_body_bytes: int
    body_seconds: float = 10.0
    reading: int = 256
    storing: int = 512
