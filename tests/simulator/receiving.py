"""A receiver without a server: what the simulator posts is verified, and becomes an event at once."""

from urllib.parse import unquote

import httpx

from monitor.config import Source
from monitor.event import Channel, Event, EventId, canonical_job_id
from monitor.vendors import registry
from monitor.vendors.protocol import Request
from tests.simulator.stepped import SteppedPace


class Receiving:
    """Answers requests; whoever derives from it says what becomes of the events."""

    def __init__(self, sources: tuple[Source, ...], pace: SteppedPace) -> None:
        self._sources = {source.name: source for source in sources}
        self._verifiers = {source.name: registry.verifier(source) for source in sources}
        self._pace = pace
        self._sequence = 0

    def take(self, event: Event, source: Source, /) -> None:
        raise NotImplementedError

    def answer(self, request: httpx.Request) -> httpx.Response:
        parts = request.url.raw_path.decode().partition("?")[0].split("/")
        body = request.content
        if parts[1] == "callbacks":
            source = self._sources[parts[2]]
            shown = Request(request.url.query.decode(), dict(request.headers), body)
            signed = self._verifiers[source.name](shown).signed
            job_id = registry.decode_callback(source, body).job_id
            assert job_id is not None
            self._receive(source, job_id, Channel.CALLBACK, signed, body)
        elif parts[1] == "rtc":
            source = self._sources[parts[2]]
            assert source.rtc_token is not None
            assert request.headers["authorization"] == f"Bearer {source.rtc_token.get_secret_value()}"
            for message in registry.split_rtc(body):
                self._receive(source, canonical_job_id(unquote(parts[3])), Channel.RTC, None, message)
        else:
            source = self._sources[parts[3]]
            job_id, reduced = registry.reduce_registration(source.vendor, body)
            self._receive(source, job_id, Channel.API, None, reduced)
        return httpx.Response(200)

    def _receive(
        self, source: Source, job_id: str, channel: Channel, signed: int | None, body: bytes
    ) -> None:
        self._sequence += 1
        identity = EventId("receiver", 1, self._sequence)
        kind = "job_registered" if channel is Channel.API else "any"
        received = self._pace.now()
        event = Event(identity, source.vendor, source.name, job_id, channel, kind, received, signed, body)
        self.take(event, source)
