"""`POST /callbacks/{source}`: a vendor's callback becomes an event in the log, then it is answered."""

from functools import partial

from monitor.clock import stopwatch
from monitor.errors import AuthenticationError
from monitor.event import Channel, Event
from monitor.receiver.answers import ACCEPTED, Answer
from monitor.receiver.asgi import Receive, Scope, headers_of
from monitor.receiver.identify import Arrival, identify
from monitor.receiver.intake import Intake
from monitor.receiver.refusals import Outcome, RefusedError, not_allowed, unauthenticated
from monitor.receiver.sources import PreparedSource
from monitor.vendors import registry
from monitor.vendors.protocol import Request

_NOT_POST = not_allowed("POST")


async def take_callback(intake: Intake, source: PreparedSource, scope: Scope, receive: Receive) -> Answer:
    """Store one callback and return its answer; it is durable by then.

    An authentic callback is never refused for what it says: what can't be decoded goes whole to the
    dead letters, since the vendor would drop it after a refusal.

    Raises:
        RefusedError: nothing was stored.
        SenderGoneError: nobody is left to answer; nothing was stored.
    """
    began = stopwatch()
    if scope["method"] != "POST":
        raise RefusedError(_NOT_POST)
    source.admit(scope)
    headers = headers_of(scope)
    body = await intake.read(source, scope, headers, receive)
    received = intake.clock.now()
    request = Request(scope["query_string"].decode("latin-1"), headers, body)
    try:
        signed = source.authenticate(request, received)
    except AuthenticationError as error:
        raise RefusedError(unauthenticated(error)) from None

    arrival = Arrival(source, Channel.CALLBACK, None, received, signed)
    decode = partial(registry.decode_callback, source.configuration, body)
    item = identify(arrival, intake.next_id(), body, decode)
    if isinstance(item, Event):
        await intake.store(source, (item,))
        source.count(Outcome.ACCEPTED)
    else:
        await intake.store(source, (), (item,))
        source.count(Outcome.DEAD_LETTERED)
    source.duration.observe(stopwatch() - began)
    return ACCEPTED
