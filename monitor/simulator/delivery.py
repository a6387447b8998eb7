"""Signs one stream's deliveries as its vendor does, and posts them, one after another."""

import asyncio
from collections import Counter
from enum import StrEnum
from typing import NamedTuple
from urllib.parse import quote

import httpx

from monitor.config import AuthType
from monitor.event import Channel, ParagraphStarted, Vendor
from monitor.simulator import bodies
from monitor.simulator.bodies import Identity
from monitor.simulator.life import Action, Delivery, Fact
from monitor.simulator.pace import Pace, StoppedError
from monitor.simulator.truth import LOOP_SECONDS, Told
from monitor.vendors.metastudio import signature as metastudio_signature
from monitor.vendors.softsugar import signature as softsugar_signature

_ATTEMPTS = {Vendor.METASTUDIO: 1, Vendor.SOFTSUGAR: 3}
"""As the vendors do: SoftSugar tries three times, MetaStudio documents no second attempt."""

_OWN_ATTEMPTS = 3
"""A relay's and a registrar's: programs of the operators, which may be expected to try again."""

_SUCCESS = (httpx.codes.OK, httpx.codes.ACCEPTED)
"""Of callbacks and RTC messages; of registrations."""

_FIRST_PAUSE = 1.0
_PAUSE_GROWTH = 1.3
_LONGEST_PAUSE = 3.0


class Fate(StrEnum):
    """What became of a request after all its attempts.

    refused: the service surely doesn't have it. unknown: a connection broke before the answer came.
    """

    ACKNOWLEDGED = "acknowledged"
    REFUSED = "refused"
    UNKNOWN = "unknown"


class Post(NamedTuple):
    """A signed request, ready to be sent as often as needed. signed: Unix seconds."""

    url: str
    headers: dict[str, str]
    content: bytes
    signed: int


class Addresses(NamedTuple):
    """Base URLs, without a slash at the end: of what the vendors see, and of what operators see."""

    receiver: str
    admin: str


class Courier:
    """The sender of one stream.

    Args:
        identity: whose.
        client: shared by all streams.
        addresses: where to.
        pace: all waiting, and the receiver's clock.
        attempts: of every request; None: as the vendor does.
        counts: what is shown of the run, shared by all streams.
    """

    def __init__(
        self,
        identity: Identity,
        client: httpx.AsyncClient,
        addresses: Addresses,
        pace: Pace,
        attempts: int | None,
        counts: Counter[str],
    ) -> None:
        self._identity = identity
        self._client = client
        self._addresses = addresses
        self._pace = pace
        self._attempts = attempts
        self._counts = counts
        self._signed = 0
        self._signed_payloads: dict[object, int] = {}
        self._posts: dict[Fact, Post] = {}
        self._first_signed: dict[Fact, int] = {}
        self._sequence = 0
        self._is_unsigned = not identity.source.is_signed
        self._playing: Fact | None = None
        self.told: dict[Fact, Told] = {}
        self.unknown: list[Fact] = []
        self._refused: set[Fact] = set()
        self.events: Counter[str] = Counter()
        self.refusals: Counter[str] = Counter()
        """Callbacks that weren't acknowledged, by what became of their last try."""
        self.trouble = ""
        """What became of the last try that wasn't acknowledged: `status 503`, unreachable or broken."""

    @property
    def lost(self) -> set[Fact]:
        """What was sent, and of which the service surely has no copy."""
        return self._refused - self.told.keys()

    async def deliver(self, delivery: Delivery) -> bool:
        """Do one delivery; False if its fate is unknown, and with it the stream's.

        Raises:
            StoppedError: the simulation was told to stop.
        """
        fact = delivery.fact
        await self._pace.until(delivery.at)
        if delivery.after is not None and delivery.after.fact in self.told:
            answered = self.told[delivery.after.fact].answered
            await self._pace.until_clock(answered + delivery.after.seconds)
        if delivery.action is Action.REPEAT and fact not in self.told:
            # The first copy never arrived, so this one would not be a second.
            return True
        if fact not in self._posts or delivery.action is Action.RESIGN:
            await self._sign(fact, turn=delivery.turn)
        if delivery.action is Action.SIGN:
            return True
        return await self._send(fact)

    async def _sign(self, fact: Fact, *, turn: bool) -> None:
        """Write and sign the request.

        The same words signed in one second are one delivery to a receiver that can't see more, so
        they are kept apart.
        """
        words = (fact.channel, fact.payload) if fact.channel is Channel.CALLBACK else None
        earlier = self._signed_payloads.get(words, 0)
        if turn:
            earlier = max(earlier, self._signed)
        if earlier:
            await self._pace.until_clock(earlier + 1)
        now = self._pace.now()
        self._posts[fact] = self._compose(fact, now)
        self._first_signed.setdefault(fact, self._posts[fact].signed)
        if words is not None:
            # A clock that was set back must not sign earlier than before: wait it out next time.
            self._signed = max(self._signed, int(now))
            self._signed_payloads[words] = int(now)

    def _compose(self, fact: Fact, now: float) -> Post:
        identity, source = self._identity, self._identity.source
        headers = {"content-type": "application/json"}
        if fact.channel is Channel.API:
            url = f"{self._addresses.admin}/api/jobs/{source.name}"
            return Post(url, headers, bodies.registration(identity, fact), 0)
        if fact.channel is Channel.RTC:
            assert source.rtc_token is not None
            self._sequence += 1
            job = quote(bodies.spelled(identity.job_id, fact.variant), safe="")
            headers["authorization"] = f"Bearer {source.rtc_token.get_secret_value()}"
            content = bodies.rtc_message(identity, fact, self._sequence, now)
            return Post(f"{self._addresses.receiver}/rtc/{source.name}/{job}", headers, content, 0)
        return callback(identity, fact, self._addresses.receiver, int(now))

    async def _send(self, fact: Fact) -> bool:
        fate, sent, answered, broke = await self._attempt(self._posts[fact], fact.channel)
        copies = broke if self._is_unsigned else 0
        self.events[fate] += 1
        self._counts[fate] += 1
        if fate is not Fate.ACKNOWLEDGED and fact.channel is Channel.CALLBACK:
            self.refusals[self.trouble] += 1
        if fate is Fate.UNKNOWN:
            self.unknown.append(fact)
            return False
        if fate is Fate.REFUSED:
            self._refused.add(fact)
        else:
            self.events[fact.channel] += 1
            first = self.told.get(fact)
            self.events["duplicates"] += first is not None
            if first is None:
                signed = None if self._is_unsigned else self._posts[fact].signed
                self.told[fact] = Told(fact, sent, answered, copies, signed)
                if isinstance(fact.payload, ParagraphStarted):
                    self._playing = fact
            elif fact == self._playing and self._told_again_after(first, answered) > LOOP_SECONDS:
                # Behind another paragraph it would be known as a copy, or be tentative.
                self.told[fact] = first._replace(doubtful=first.doubtful + 1 + copies)
        return True

    def _told_again_after(self, first: Told, answered: float) -> float:
        """Return how many seconds lie between two tellings of a fact, as the service sees them."""
        if self._is_unsigned:
            return answered - first.sent
        return self._posts[first.fact].signed - self._first_signed[first.fact]

    async def _attempt(self, post: Post, channel: Channel) -> tuple[Fate, float, float, int]:
        """Try as often as allowed.

        Returns:
            The fate, when the first try was sent and the last answered, and how many broke.
        """
        usual = _ATTEMPTS[self._identity.source.vendor] if channel is Channel.CALLBACK else _OWN_ATTEMPTS
        left = self._attempts or usual
        pause, fate, sent, broke = _FIRST_PAUSE, Fate.REFUSED, self._pace.now(), 0
        while True:
            left -= 1
            self._counts["requests"] += 1
            try:
                answer = await self._client.post(post.url, headers=post.headers, content=post.content)
                if answer.status_code in _SUCCESS:
                    return Fate.ACKNOWLEDGED, sent, self._pace.now(), broke
                self.trouble = f"status {answer.status_code}"
            except (httpx.ConnectError, httpx.ConnectTimeout):
                self.trouble = "unreachable"
            except httpx.TransportError:
                self.trouble = "broken"
                fate = Fate.UNKNOWN
                broke += 1
            self._counts[self.trouble] += 1
            if left <= 0:
                return fate, sent, self._pace.now(), broke
            try:
                await self._pace.sleep(pause)
            except StoppedError:
                if not broke:
                    return fate, sent, self._pace.now(), broke
                # The service may have it: only an answer tells, and what comes of it is the truth.
                await asyncio.sleep(_FIRST_PAUSE)
            pause = min(pause * _PAUSE_GROWTH, _LONGEST_PAUSE)


def callback(identity: Identity, fact: Fact, receiver: str, signed: int) -> Post:
    """Return a callback as the vendor posts it.

    Args:
        identity: the stream's.
        fact: what it tells.
        receiver: the base URL.
        signed: Unix seconds.
    """
    source = identity.source
    headers = {"content-type": "application/json"}
    url = f"{receiver}/callbacks/{source.name}"
    keys = [key.get_secret_value() for key in source.keys] or [""]
    key = keys[fact.variant % len(keys)]
    if source.vendor is Vendor.SOFTSUGAR:
        fields = softsugar_signature.sign(source.public_url, key, signed) if source.keys else None
        in_headers = fields is not None and fact.variant % 8 == 6
        content = bodies.softsugar_callback(identity, fact, None if in_headers else fields)
        if fields is not None and in_headers:
            headers |= {"timestamp": str(fields.timestamp), "signature": fields.signature}
        return Post(_with_query(url, source.public_url, ""), headers, content, signed)
    form = metastudio_signature.FULL_URL if fact.variant % 8 == 6 else metastudio_signature.STRIPPED
    auth_type = source.auth_type if source.keys else AuthType.NONE
    parts = metastudio_signature.sign(source.public_url, auth_type, key, signed, form)
    content = bodies.metastudio_callback(identity, fact)
    return Post(_with_query(url, source.public_url, parts.query), headers | parts.headers, content, signed)


def _with_query(url: str, public_url: str, signature: str) -> str:
    """Add the query that the source's own URL has, and the signature's."""
    query = "&".join(part for part in (public_url.partition("?")[2], signature) if part)
    return f"{url}?{query}" if query else url
