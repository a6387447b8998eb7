"""What the receiver prepares once for each source, so that a request costs no look-ups."""

import math
from collections.abc import Sequence
from functools import cached_property

from prometheus_client import Counter, Gauge

from monitor.config import Source
from monitor.errors import AuthenticationError
from monitor.event import Channel
from monitor.metrics.service import ServiceMetrics
from monitor.receiver.answers import Header
from monitor.receiver.asgi import Scope
from monitor.receiver.body import SlowBodies
from monitor.receiver.clients import Network, client_of, is_inside
from monitor.receiver.refusals import FORBIDDEN, Outcome, Refusal, RefusedError
from monitor.receiver.tokens import is_token_valid
from monitor.vendors import registry
from monitor.vendors.protocol import Request

_EXPOSED: tuple[Header, ...] = (
    (b"access-control-allow-methods", b"POST"),
    (b"access-control-allow-headers", b"authorization, content-type"),
    (b"access-control-max-age", b"600"),
)


class PreparedSource:
    """A source with its verifier, networks, metric children, and what it has under way.

    Args:
        source: its configuration.
        metrics: where its requests are counted.
        proxies: where proxies are that say whom they speak for.
    """

    def __init__(self, source: Source, metrics: ServiceMetrics, proxies: Sequence[Network] = ()) -> None:
        self.name = source.name
        self.vendor = source.vendor
        self.configuration = source
        self.slow_bodies = SlowBodies()
        self.storing = 0
        self.duration = metrics.callback_duration.labels(source.name)
        self._verify = registry.verifier(source)
        self._networks = source.allow_networks
        self._proxies = proxies
        self._max_skew = source.max_clock_skew_seconds
        self._clock_skews = metrics.clock_skew
        self._outcomes: dict[Outcome, Counter] = {
            outcome: metrics.callbacks.labels(source.name, outcome)
            for outcome in Outcome
            if outcome is not Outcome.UNKNOWN_SOURCE
        }
        self._failures = metrics.authentication_failures
        self._dead_letters = metrics.dead_letters
        self._signature_forms = metrics.signature_forms
        self._forms: dict[str, Counter] = {}
        self._preflights = {
            origin: (*_allow(origin), *_EXPOSED) for origin in source.rtc_allow_origins if origin != "*"
        }
        self._any_origin = (*_allow("*"), *_EXPOSED) if "*" in source.rtc_allow_origins else None

    @cached_property
    def _clock_skew(self) -> Gauge:
        """Made by the first signed request: before, it would export 0 as if one had said so."""
        return self._clock_skews.labels(self.name)

    def admit(self, scope: Scope) -> None:
        """Let a request in from where it comes from.

        Raises:
            RefusedError: the source has networks, and the client's address is in none of them.
        """
        if self._networks and not is_inside(client_of(scope, self._proxies), self._networks):
            raise RefusedError(FORBIDDEN)

    def authenticate(self, request: Request, now: float) -> int | None:
        """Return the signed time of an authentic callback, in Unix seconds, if it has one.

        Raises:
            AuthenticationError: missing, signature or timestamp.
        """
        verified = self._verify(request)
        form = self._forms.get(verified.form)
        if form is None:
            form = self._forms[verified.form] = self._signature_forms.labels(self.name, verified.form)
        form.inc()
        if verified.signed is None:
            return None
        self._clock_skew.set(verified.signed - now)
        # Signed times are whole seconds. Against the fraction of ours, the window would end a second early.
        if abs(verified.signed - math.floor(now)) > self._max_skew:
            raise AuthenticationError("timestamp", "The signed time is too far from this receiver's time.")
        return verified.signed

    def authenticate_bearer(self, authorization: str | None, job_id: str, now: float) -> None:
        """Let a relay in that holds the source's token, or one made for the job.

        Raises:
            AuthenticationError: token.
        """
        scheme, _, token = (authorization or "").partition(" ")
        expected = self.configuration.rtc_token
        if (
            expected is None
            or scheme.lower() != "bearer"
            or not is_token_valid(expected, token.strip(), self.name, job_id, now)
        ):
            raise AuthenticationError("token", "A valid bearer token for this source and job is needed.")

    def cross_origin(self, origin: str | None) -> tuple[Header, ...]:
        """Return the headers that let a page of this origin read an answer; empty if it may not."""
        preflight = self.preflight(origin)
        return preflight[:2] if preflight else ()

    def preflight(self, origin: str | None) -> tuple[Header, ...]:
        """Return the headers that let a page of this origin send a POST; empty if it may not."""
        if origin is None:
            return ()
        return self._any_origin or self._preflights.get(origin, ())

    def count(self, outcome: Outcome) -> None:
        """Count a callback request by what became of it."""
        self._outcomes[outcome].inc()

    def count_refusal(self, refusal: Refusal) -> None:
        """Count a refused request, and why it proved nothing if that is the cause.

        Relays' requests are counted here too when they are refused; what they bring is counted as events.
        """
        self._outcomes[refusal.outcome].inc()
        if refusal.reason is not None:
            self._failures.labels(self.name, refusal.reason).inc()

    def count_dead_letter(self, channel: Channel, reason: str) -> None:
        """Count a dead letter."""
        self._dead_letters.labels(self.name, channel, reason).inc()


def _allow(origin: str) -> tuple[Header, Header]:
    return (b"access-control-allow-origin", origin.encode()), (b"vary", b"origin")
