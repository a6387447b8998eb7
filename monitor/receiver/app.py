"""The ASGI application that faces the vendors: which path is what, and what becomes of a refusal."""

from collections.abc import Iterable, Sequence
from typing import NoReturn
from urllib.parse import unquote

from monitor.clock import Clock, stopwatch
from monitor.config import Source
from monitor.log.protocol import EventLog
from monitor.metrics.service import ServiceMetrics
from monitor.receiver.answers import HEALTHY, NOT_FOUND, Answer
from monitor.receiver.asgi import Receive, Scope, Send
from monitor.receiver.body import SenderGoneError
from monitor.receiver.callbacks import take_callback
from monitor.receiver.clients import Network
from monitor.receiver.intake import Intake
from monitor.receiver.limits import Limits
from monitor.receiver.refusals import (
    UNKNOWN_SOURCE,
    Outcome,
    Refusal,
    RefusalLog,
    RefusedError,
    not_allowed,
)
from monitor.receiver.rtc import take_rtc
from monitor.receiver.sources import PreparedSource

UNKNOWN = "unknown"
"""The source label of requests to sources that aren't configured."""

_PROBE_METHODS = ("GET", "HEAD")
"""Load balancers ask with either."""

_NO_PROBE = not_allowed(", ".join(_PROBE_METHODS))


class Receiver:
    """Takes callbacks and relayed messages of the configured sources into a log.

    It is a bare ASGI application, since a framework would cost more than the receiver's own work.

    Args:
        sources: who may post.
        log: acknowledges nothing that isn't durable.
        metrics: the service's own.
        clock: tells the received time.
        limits: what one request and one source may take.
        proxies: where proxies are that say whom they speak for.
    """

    def __init__(
        self,
        sources: Iterable[Source],
        log: EventLog,
        metrics: ServiceMetrics,
        clock: Clock,
        limits: Limits,
        proxies: Sequence[Network] = (),
    ) -> None:
        self._intake = Intake(log, clock, limits)
        self._sources = {source.name: PreparedSource(source, metrics, proxies) for source in sources}
        self._callback_paths = {f"/callbacks/{name}": source for name, source in self._sources.items()}
        # One fixed label for all of them: a label from the path would let strangers make series.
        self._unknown_sources = metrics.callbacks.labels(UNKNOWN, Outcome.UNKNOWN_SOURCE)
        self._refusal_log = RefusalLog(stopwatch)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; a fault of ours is the server's to answer and to log."""
        source = self._callback_paths.get(scope["path"])
        try:
            if source is not None:
                answer = await take_callback(self._intake, source, scope, receive)
            else:
                answer = await self._answer_elsewhere(scope, receive)
        except RefusedError as error:
            if source is not None:
                self._note(source, error.refusal)
            answer = error.refusal.answer
            if error.refusal.lingers:
                await answer.send_and_linger(receive, send)
                return
        except SenderGoneError:
            return
        await answer.send(send)

    async def _answer_elsewhere(self, scope: Scope, receive: Receive) -> Answer:
        # The path as it was sent: a job id may hold an encoded slash.
        match scope["raw_path"].split(b"/"):
            case [b"", b"healthz"]:
                return HEALTHY if scope["method"] in _PROBE_METHODS else _NO_PROBE.answer
            case [b"", b"rtc", name, job_text] if job_text:
                return await self._answer_relay(unquote(name), job_text, scope, receive)
            # A slash too many in the address that the vendor was given, or what a proxy leaves in front of
            # it, is no other mistake than a wrong name.
            case segments if b"callbacks" in segments:
                self._refuse_unknown()
        return NOT_FOUND

    async def _answer_relay(self, name: str, job_text: bytes, scope: Scope, receive: Receive) -> Answer:
        source = self._sources.get(name)
        if source is None:
            self._refuse_unknown()
        try:
            return await take_rtc(self._intake, source, job_text, scope, receive)
        except RefusedError as error:
            self._note(source, error.refusal)
            raise

    def _note(self, source: PreparedSource, refusal: Refusal) -> None:
        source.count_refusal(refusal)
        self._refusal_log.note(source.name, refusal.reason or refusal.outcome)

    def _refuse_unknown(self) -> NoReturn:
        self._unknown_sources.inc()
        self._refusal_log.note(UNKNOWN, Outcome.UNKNOWN_SOURCE)
        raise RefusedError(UNKNOWN_SOURCE)
