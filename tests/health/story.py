"""Tells a stream's story to the fold, event by event, the way the worker would."""

from dataclasses import dataclass, field
from zlib import crc32

from monitor.config import HealthSettings
from monitor.event import (
    RETRY_RECEIVER,
    Channel,
    Decoded,
    Event,
    EventId,
    JobRegistered,
    LinkChanged,
    LinkState,
    Paragraph,
    ParagraphStarted,
    Payload,
    RandomPlayMode,
    Relay,
    ReplyFinished,
    ScriptProgress,
    SessionChanged,
    SessionState,
    Stored,
    Vendor,
)
from monitor.health.effect import Effect
from monitor.health.fold import begin, fold, is_due, settle
from monitor.health.status import Verdict, status
from monitor.health.stream import StreamState

START = 1_700_000_000.0
"""When every story begins, Unix seconds."""

LINK_WORDS = {
    "C": LinkState.CONNECTED,
    "D": LinkState.DISCONNECTED,
    "R": LinkState.RECONNECTING,
    "G": LinkState.CONNECTING,
    "E": LinkState.END,
}
"""G stands for CONNECTING, since C is taken."""


@dataclass
class Story:
    """One stream. Times are seconds since START; `signed` too, None for an unsigned source.

    signed_in_headers: SoftSugar's signed second isn't part of the body.
    """

    vendor: Vendor = Vendor.METASTUDIO
    settings: HealthSettings = field(default_factory=HealthSettings)
    now: float = 0.0
    state: StreamState | None = None
    events: int = 0
    signed_in_headers: bool = False

    def tell(
        self,
        payload: Payload,
        *,
        at: float,
        signed: int | None = None,
        channel: Channel = Channel.CALLBACK,
        relay: Relay | None = None,
        receiver: str = "r",
    ) -> Effect:
        """Fold one event received at `at`."""
        self.now = max(self.now, at)
        self.events += 1
        body = repr(payload).encode()
        absolute = None if signed is None else int(START) + signed
        if self.vendor is Vendor.SOFTSUGAR and not self.signed_in_headers:
            body += str(absolute).encode()
        event = Event(
            EventId(receiver, 1, self.events),
            self.vendor,
            "prod",
            "job",
            channel,
            "any",
            START + at,
            absolute,
            body,
        )
        stored = Stored(0, self.events, event)
        if self.state is None:
            self.state = begin(event)
        return fold(self.state, stored, Decoded("job", "any", payload, relay), self.settings)

    def link(self, word: str, *, at: float, signed: int | None = None, output: str = "a") -> Effect:
        """Tell an RTMP state by its letter."""
        return self.tell(LinkChanged(output, LINK_WORDS[word], "room"), at=at, signed=signed)

    def links(self, words: str, *, step: float = 10.0, signed: bool = True) -> list[Effect]:
        """Tell RTMP states in order, one every `step` seconds from now on."""
        effects = []
        for word in words.split():
            self.now += step
            effects.append(self.link(word, at=self.now, signed=int(self.now) if signed else None))
        return effects

    def retry(self, payload: Payload, *, at: float, channel: Channel = Channel.CALLBACK) -> Effect:
        """Tell now what came at a time, and was a dead letter since."""
        return self.tell(payload, at=at, channel=channel, receiver=RETRY_RECEIVER)

    def paragraph(self, number: int, *, at: float, signed: int | None = None, scene: str = "Scene") -> Effect:
        """Tell a switch to a paragraph."""
        return self.tell(ParagraphStarted(Paragraph(scene, number), "room"), at=at, signed=signed)

    def paragraphs(self, numbers: str, *, step: float = 20.0, signed: bool = False) -> None:
        """Tell switches in order, a digit each, one every `step` seconds; spaces only help the eye."""
        for digit in numbers.replace(" ", ""):
            self.now += step
            self.paragraph(int(digit), at=self.now, signed=int(self.now) if signed else None)

    def progress(self, number: int, offset: int | None, *, at: float, relay: Relay | None = None) -> Effect:
        """Tell RTC progress inside a paragraph."""
        payload = ScriptProgress(Paragraph("Scene", number), offset)
        return self.tell(payload, at=at, channel=Channel.RTC, relay=relay)

    def reply(
        self, name: str, *, at: float, channel: Channel = Channel.CALLBACK, relay: Relay | None = None
    ) -> Effect:
        """Tell that a reply has been played."""
        return self.tell(ReplyFinished(name), at=at, channel=channel, relay=relay)

    def session(
        self, state: SessionState | None, *, at: float, signed: int | None = None, code: int | None = None
    ) -> Effect:
        """Tell a SoftSugar status or code."""
        return self.tell(SessionChanged(state, code), at=at, signed=signed)

    def register(
        self,
        *,
        at: float = 0.0,
        plan: int = 0,
        mode: RandomPlayMode | None = RandomPlayMode.NONE,
        repeat_count: int | None = -1,
        warnings: tuple[str, ...] | None = None,
        subscribed: tuple = (),  # type: ignore[type-arg]
    ) -> Effect:
        """Register the job with a plan of so many paragraphs."""
        payload = JobRegistered(
            room_id="room",
            random_play_mode=mode,
            repeat_count=repeat_count,
            subscribed=subscribed,
            plan=tuple(Paragraph("Scene", number + 1) for number in range(plan)),
            warnings=warnings,
        )
        return self.tell(payload, at=at, channel=Channel.API)

    def settle(self, at: float) -> StreamState:
        """Let the time pass until `at`, and return the state; nothing is done that isn't said to be due."""
        self.now = max(self.now, at)
        if is_due(self.known, START + at, self.settings):
            settle(self.known, START + at, self.settings)
        return self.known

    def status(self, at: float) -> Verdict:
        """Return the status at a time."""
        return status(self.known, START + at, self.settings)

    @property
    def known(self) -> StreamState:
        """The state; there is one once something was told."""
        assert self.state is not None
        return self.state

    @property
    def fingerprint(self) -> int:
        """A checksum over the state, by which two are compared."""
        return crc32(repr(self.known).encode())
