"""A small livestream of known history posts a vendor's bodies; decode and fold must say what it knows."""

import json
from dataclasses import dataclass
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from monitor.config import HealthSettings, Source
from monitor.event import Channel, Event, EventId, Stored, Vendor
from monitor.health import reading
from monitor.health.effect import Effect
from monitor.health.stream import StreamKey, StreamState, from_json, to_json
from monitor.vendors import registry
from monitor.worker.shard import Shard
from tests.properties.examples import examples
from tests.properties.reference import Player, Push
from tests.properties.stories import START

HYPHENED = "26F06524-4F75-4B3A-A853-B649A21AAE66"
JOB = "26f065244f754b3aa853b649a21aae66"
SOURCE = Source(name="prod", vendor=Vendor.METASTUDIO, public_url="https://hooks.example.com/callbacks/prod")
KEPT = HealthSettings(keep_ended_seconds=1e6, keep_abnormal_seconds=1e6)
"""An ended stream isn't retired, so that its numbers can still be compared."""

WITNESS_SECONDS = 10.0
ROUND_SETTLES_SECONDS = 45.0


@dataclass
class Watch:
    """A clock that stands where the story stands."""

    time: float = START

    def now(self) -> float:
        return self.time


@dataclass
class Posted:
    """A delivery that may be made once more: its body and its signed second."""

    channel: Channel
    body: bytes
    signed: int | None
    at: float


class Livestream(RuleBasedStateMachine):
    """Whatever happens to the livestream, its reference and the fold are told."""

    def __init__(self) -> None:
        super().__init__()
        self.watch = Watch()
        self.shard = Shard(KEPT, {"prod": 10})
        self.sequence = 0
        self.relayed = 0
        self.push = Push()
        self.output = 0
        self.player: Player | None = None
        self.offsets: dict[int, int] = {}
        self.replies: set[str] = set()
        self.missed = 0
        self.awaited: dict[str, float] = {}
        self.told_by_callback: set[str] = set()
        self.settling: list[tuple[float, int]] = []
        self.skipped = 0
        self.posted: list[Posted] = []

    @initialize(planned=st.integers(2, 5), subscribed=st.booleans(), variant=st.integers(0, 3))
    def start(self, planned: int, subscribed: bool, variant: int) -> None:
        """Start the job and register it."""
        self.player = Player(planned)
        request: dict[str, Any] = {
            "play_policy": {"random_play_mode": "NONE", "repeat_count": -1},
        }
        if subscribed:
            kinds = ["SHOOT_SCRIPT_SWITCH", "REPLY_COMMAND_FINISH"]
            request["live_event_callback_config"] = {"callback_event_type": kinds}
            self.told_by_callback.update(kinds)
        script = [{"scene": "Scene", "sequence_no": number} for number in range(1, planned + 1)]
        body = {"request": request, "response": {"job_id": self.job_id(variant)}, "script": script}
        registration = registry.reduce_registration(Vendor.METASTUDIO, json.dumps(body).encode())
        assert registration.job_id == JOB
        self.deliver(Channel.API, registration.body, None, "job_registered")

    # What happens to the push.

    @rule(word=st.sampled_from(["CONNECTING", "CONNECTED", "CONNECTED", "DISCONNECTED", "RECONNECTING"]))
    @precondition(lambda self: self.push.outcome is None)
    def link(self, word: str) -> None:
        self.say(word)

    @rule()
    @precondition(lambda self: self.push.word is not None and self.push.outcome is None)
    def end(self) -> None:
        self.say("END")

    @rule(word=st.sampled_from(["CONNECTING", "CONNECTED"]), fresh=st.booleans())
    @precondition(lambda self: self.push.outcome is not None)
    def start_again(self, word: str, fresh: bool) -> None:
        self.output += fresh
        self.say(word)

    @rule(word=st.sampled_from(["DISCONNECTED", "RECONNECTING", "END"]), fresh=st.booleans())
    @precondition(lambda self: self.push.outcome is not None)
    def follow_the_end(self, word: str, fresh: bool) -> None:
        """An ended stream is still told of; nothing but a new start opens it again."""
        self.output += fresh
        effect = self.post_link(word)
        assert effect in (Effect.AFTER_END, Effect.DUPLICATE)
        self.output -= fresh

    # What the script does.

    @rule(by=st.integers(1, 3), witness=st.sampled_from(["callback", "callback", "both", "rtc"]))
    @precondition(lambda self: self.push.outcome is None and self.player is not None)
    def play_on(self, by: int, witness: str) -> None:
        """Go on in the round, and perhaps leave paragraphs out."""
        assert self.player is not None
        if self.player.position + by <= self.player.planned:
            self.play(self.player.position + by, witness)

    @rule(witness=st.sampled_from(["callback", "both", "rtc"]))
    @precondition(
        lambda self: self.push.outcome is None and self.player is not None and self.player.position > 1
    )
    def play_again(self, witness: str) -> None:
        """Begin the next round from the first paragraph."""
        # RTC shows that a paragraph began again only if it told of it before, and further on.
        assert self.player is not None
        if 1 in self.player.round and self.offsets.get(1, 0) == 0:
            witness = "callback"
        self.play(1, witness)

    @rule(position=st.integers(2, 5))
    @precondition(lambda self: self.push.outcome is None and self.player is not None)
    def play_again_from_the_middle(self, position: int) -> None:
        """Begin the next round after the last one reached the end; its first callbacks were lost."""
        player = self.player
        assert player is not None
        if player.position == player.planned and position < player.planned:
            self.play(position, "callback")

    @rule(offset=st.integers(1, 20))
    @precondition(lambda self: self.push.outcome is None and self.player is not None and self.player.position)
    def progress(self, offset: int) -> None:
        """Say how far the paragraph that plays has come."""
        self.progress_by(offset)

    def progress_by(self, offset: int) -> None:
        assert self.player is not None
        position = self.player.position
        told = self.offsets.get(position, 0) + offset
        self.pass_time(float(offset))
        self.offsets[position] = told
        self.tell_progress(position, told)

    # What the audience hears, and the rest.

    @rule(name=st.sampled_from("uvwxyz"), witness=st.sampled_from(["callback", "both", "rtc", "after"]))
    @precondition(lambda self: self.push.outcome is None)
    def reply(self, name: str, witness: str) -> None:
        kind = "REPLY_COMMAND_FINISH"
        known = name in self.replies
        self.replies.add(name)
        self.pass_time(1.0)
        if witness in ("both", "rtc"):
            self.tell_in_room("reply_command_finish_notify", {"reply_id": name})
            if witness == "rtc" and not known and kind in self.told_by_callback:
                self.awaited[name] = self.watch.time + WITNESS_SECONDS
        if witness != "rtc":
            self.pass_time(2.0)
            self.awaited.pop(name, None)
            self.call_back(kind, {"reply_id": name})
        if witness == "after":
            self.tell_in_room("reply_command_finish_notify", {"reply_id": name})

    @rule(seconds=st.sampled_from([0.4, 3.0, 11.0, 50.0, 400.0]))
    def wait(self, seconds: float) -> None:
        self.pass_time(seconds)

    @rule(which=st.integers(0, 1000), later=st.sampled_from([2.1, 9.0, 31.0]))
    @precondition(lambda self: self.posted)
    def deliver_again(self, which: int, later: float) -> None:
        """A vendor or a relay sends once more what it sent before, from the last two minutes."""
        recent = [one for one in self.posted if self.watch.time - one.at < 85.0]
        if recent:
            copy = recent[which % len(recent)]
            self.pass_time(later)
            effect = self.deliver(copy.channel, copy.body, copy.signed, "again")
            assert effect in (Effect.DUPLICATE, Effect.LATE, Effect.AFTER_END)

    @rule()
    def restart_the_worker(self) -> None:
        """Restore from a checkpoint."""
        states = [from_json(to_json(state)) for state in self.shard.streams.values()]
        position = self.shard.position
        self.shard = Shard(KEPT, {"prod": 10}, position=position)
        self.shard.restore(states)

    # What both say.

    @invariant()
    def push_is_as_it_was(self) -> None:
        state = self.state
        if state is None or self.push.word is None:
            return
        assert self.push.outages == state.link.outages
        assert self.push.reconnects == state.link.reconnects
        assert self.push.phase == state.phase
        assert self.push.outcome == (None if state.end is None else state.end.outcome)
        told = reading.rtmp_state(state)
        assert told is not None
        assert self.push.word == told.name

    @invariant()
    def script_is_as_it_was(self) -> None:
        if self.state is None or self.player is None:
            return
        script = self.state.script
        assert self.player.rounds == script.rounds
        assert self.player.coverage == reading.coverage(script)
        assert self.player.finished_coverage == reading.finished_coverage(script)
        # What a round left out counts once no late paragraph can fill it any more.
        self.tick()
        unsettled = sum(count for _, count in self.settling)
        assert self.skipped <= script.skipped <= self.skipped + unsettled

    @invariant()
    def replies_and_witnesses_are_as_they_were(self) -> None:
        if self.state is None:
            return
        self.tick()
        assert len(self.replies) == self.state.replies.finished
        assert self.missed == self.state.missed

    @invariant()
    def time_is_all_there(self) -> None:
        if self.state is not None and self.state.end is None and self.push.word is not None:
            spent = reading.seconds(self.state, self.watch.time)
            assert sum(spent) <= self.watch.time - self.state.first_received + 1e-6

    # How it is told.

    @property
    def state(self) -> StreamState | None:
        return self.shard.streams.get(StreamKey("prod", JOB))

    def job_id(self, variant: int) -> str:
        return [JOB, HYPHENED, HYPHENED.lower(), JOB.upper()][variant % 4]

    def pass_time(self, seconds: float) -> None:
        self.watch.time += seconds
        self.tick()

    def tick(self) -> None:
        now = self.watch.time
        self.shard.tick(now, list(self.shard.streams))
        self.missed += sum(due <= now for due in self.awaited.values())
        self.awaited = {what: due for what, due in self.awaited.items() if due > now}
        self.skipped += sum(count for due, count in self.settling if due <= now)
        self.settling = [(due, count) for due, count in self.settling if due > now]

    def say(self, word: str) -> None:
        self.push.say(word)
        self.post_link(word)

    def post_link(self, word: str) -> Effect:
        self.pass_time(1.5)
        output = {
            "output_url": "rtmp://push.example.com/live",
            "stream_key": f"key {self.output}",
            "state": word,
        }
        return self.call_back("RTMP_STREAM_STATE_CHANGE", output)

    def play(self, position: int, witness: str) -> None:
        assert self.player is not None
        kind = "SHOOT_SCRIPT_SWITCH"
        rounds = self.player.rounds
        if self.offsets.get(self.player.position) == 0:
            # RTC tells every few seconds, so at least once more of a paragraph that it told of.
            self.progress_by(5)
        # A paragraph takes longer than the callback of one that RTC has told of may.
        self.pass_time(WITNESS_SECONDS + 1.0)
        self.player.play(position)
        if self.player.rounds > rounds:
            self.offsets = {}
            self.settling.append((self.watch.time + ROUND_SETTLES_SECONDS, self.player.skipped[-1]))
        if witness in ("both", "rtc"):
            self.offsets[position] = 0
            self.tell_progress(position, 0)
            if witness == "rtc" and kind in self.told_by_callback:
                self.awaited[f"paragraph {position}"] = self.watch.time + WITNESS_SECONDS
        if witness != "rtc":
            # The callback of what RTC has told comes a moment later.
            if witness == "both":
                self.pass_time(3.0)
            message = {"scene_script_name": "Scene", "shoot_script_sequence_no": str(position)}
            self.call_back(kind, message)

    def tell_progress(self, position: int, offset: int) -> None:
        data = {"script_name": "Scene", "shoot_script_sequence_no": position, "offset": str(offset)}
        self.tell_in_room("live_progress_notify", data)

    def call_back(self, kind: str, message: dict[str, Any]) -> Effect:
        self.told_by_callback.add(kind)
        said = {"job_id": self.job_id(self.sequence), "room_id": "room", **message}
        body = {"event_type": kind, "message": said if self.sequence % 3 else json.dumps(said)}
        return self.deliver(Channel.CALLBACK, json.dumps(body).encode(), int(self.watch.time), kind)

    def tell_in_room(self, kind: str, data: dict[str, Any]) -> Effect:
        self.relayed += 1
        message = {"message_type": kind, "data": data}
        envelope = {
            "relay": "page",
            "seq": self.relayed,
            "at_ms": int(self.watch.time * 1000),
            "message": message if self.relayed % 3 else json.dumps(message),
        }
        (one,) = registry.split_rtc(json.dumps(envelope).encode())
        return self.deliver(Channel.RTC, one, None, kind)

    def deliver(self, channel: Channel, body: bytes, signed: int | None, kind: str) -> Effect:
        """Let the fleet have it, received a moment after it was sent."""
        self.sequence += 1
        event = Event(
            EventId("r", 1, self.sequence),
            Vendor.METASTUDIO,
            "prod",
            JOB,
            channel,
            "job_registered" if channel is Channel.API else kind,
            self.watch.time,
            signed,
            body,
        )
        decoded = registry.decode(event, SOURCE)
        assert decoded.job_id in (None, JOB)
        effect = self.shard.fold(Stored(0, self.sequence, event), decoded)
        # What wasn't taken, the stream being over, may be news when the stream is open again.
        if kind != "again" and channel is not Channel.API and effect is not Effect.AFTER_END:
            self.posted.append(Posted(channel, body, signed, self.watch.time))
        return effect


TestLivestream = Livestream.TestCase
TestLivestream.settings = settings(examples(75), stateful_step_count=40)
