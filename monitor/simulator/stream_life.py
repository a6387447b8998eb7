"""The life of a MetaStudio stream: its push, its script and its replies, and who tells of them."""

from random import Random

from monitor.event import (
    CallbackKind,
    Channel,
    JobRegistered,
    Paragraph,
    ParagraphStarted,
    RandomPlayMode,
    ReplyFinished,
    ScriptProgress,
)
from monitor.simulator.life import LATENESS, Action, Character, Delivery, Fact, Gap, Sketch
from monitor.simulator.link import push
from monitor.simulator.options import Scenario
from monitor.simulator.performance import Playing, Script, performance, script_of

WITNESS_SECONDS = 10.0
"""The receiver's seconds after which the callback of what RTC proved counts as missed."""

_UNMISTAKABLE = WITNESS_SECONDS + 1.5

_WARNINGS = (
    "TOO_LESSS_SCRIPT_ITEMS",
    "TOO_SHORT_SCRIPT_TIME",
    "TOO_LESS_DANMAKU_RULES",
    "RANDOM_PLAY_CLOSED",
    "ROTATION_MODEL_CLOSED",
)

_OFFSETS_A_SECOND = 10

_FIRST_SIGN = 0.9
"""Seconds of a paragraph within which its first RTC message is told, if that comes before the callback."""


def stream_life(random: Random, character: Character, begin: float, until: float) -> tuple[Delivery, ...]:
    """Draw up the life of a MetaStudio stream between two simulated times."""
    sketch = Sketch(random)
    script = script_of(random, character)
    replies_by = _reply_channels(random, script, character)
    if script.registered:
        sketch.tell(begin, _registration(random, script, character, replies_by), Channel.API)
    connected_at, over_at = push(sketch, character, begin, until)
    playing = performance(random, script, character, connected_at + random.uniform(1, 5), over_at)
    if character.relayed:
        _tell_by_two(sketch, character, playing)
    else:
        _tell_by_callback(sketch, script, character, playing)
    _reply(sketch, character, replies_by, connected_at, over_at)
    return sketch.deliveries()


def _registration(
    random: Random, script: Script, character: Character, replies_by: tuple[Channel, ...]
) -> JobRegistered:
    kinds = [CallbackKind.LINK, CallbackKind.PARAGRAPH]
    if Channel.CALLBACK in replies_by:
        kinds.append(CallbackKind.REPLY)
    return JobRegistered(
        play_mode="TEXT",
        random_play_mode=script.mode,
        view_mode=random.choice(("VERTICAL", "LANDSCAPE")),
        repeat_count=-1,
        auto_play_script=True,
        max_duration=random.choice((None, 24 * 3600.0)),
        subscribed=tuple(kinds),
        plan=script.plan,
        warnings=_warnings(random, character),
    )


def _warnings(random: Random, character: Character) -> tuple[str, ...]:
    given = tuple(sorted(random.sample(_WARNINGS, random.choice((0, 0, 1, 2)))))
    # Of a steady stream there is nothing to warn of.
    return () if character.scenario is Scenario.STEADY else given


def _tell_by_callback(sketch: Sketch, script: Script, character: Character, playing: list[Playing]) -> None:
    """Tell of each paragraph by callback, with the delivery faults of the scenario."""
    random, scenario = sketch.random, character.scenario
    facts = [sketch.happen(one.at, ParagraphStarted(one.paragraph)) for one in playing]
    index = 0
    while index < len(playing):
        one, fact = playing[index], facts[index]
        following = playing[index + 1] if index + 1 < len(playing) else None
        brief = character.signed and following is not None and following.at - one.at <= LATENESS
        with_next = following is not None and brief and not _is_delicate(script, one, following)
        index += 1
        if (
            scenario is Scenario.REORDERED
            and following is not None
            and with_next
            and _can_be_overtaken(script, one, following)
            and random.random() < 0.5
        ):
            sketch.add(one.at, Action.SIGN, fact, turn=True)
            sketch.add(following.at, Action.SEND, facts[index], turn=True)
            sketch.add(following.at, Action.SEND, fact)
            index += 1
            continue
        sketch.add(one.at, Action.SEND, fact)
        if scenario is not Scenario.DUPLICATES or _may_begin_a_second_round(script, one):
            continue
        if random.random() < 0.3:
            sketch.tell_again(fact)
        if following is not None and with_next and random.random() < 0.5:
            # A copy along with the next paragraph: late, and known.
            sketch.add(following.at, Action.SEND, facts[index], turn=True)
            sketch.add(following.at, Action.REPEAT, fact)
            index += 1


def _can_be_overtaken(script: Script, one: Playing, following: Playing) -> bool:
    """Whether a paragraph can come after the next one without leaving open where it was played."""
    if one.round == 0 and not script.registered:
        # A plan is learned from the order in which it was told.
        return False
    if one.place == 0:
        return False
    in_order = script.registered and script.mode is RandomPlayMode.NONE
    return one.round == following.round or in_order


def _is_delicate(script: Script, one: Playing, following: Playing) -> bool:
    """Whether a fault between the two paragraphs could hide where a first round ended."""
    return _may_begin_a_second_round(script, one) or _may_begin_a_second_round(script, following)


def _may_begin_a_second_round(script: Script, one: Playing) -> bool:
    """Whether it is among the paragraphs that show that the first round of an unknown plan is over."""
    return not script.registered and one.round == 1 and one.place <= 1


def _tell_by_two(sketch: Sketch, character: Character, playing: list[Playing]) -> None:
    """Tell of each paragraph by callback and RTC; what is lost is told by RTC alone."""
    random = sketch.random
    twice = character.scenario is Scenario.DUPLICATES
    lost: dict[Paragraph, Fact] = {}
    for index, one in enumerate(playing):
        proof = lost.pop(one.paragraph, None)
        after = None if proof is None else Gap(proof, _UNMISTAKABLE)
        is_lost = index > 0 and character.scenario is Scenario.LOST and random.random() < 0.2
        told_first = is_lost or (index > 0 and random.random() < 0.25)
        if told_first:
            first = _progress(sketch, one, random.uniform(0, _FIRST_SIGN), after, at=one.at)
            after = None
            if is_lost:
                lost[one.paragraph] = first
        if not is_lost:
            fact = sketch.tell(one.at, ParagraphStarted(one.paragraph), after=after)
            if twice and random.random() < 0.3:
                sketch.tell_again(fact)
        # In each paragraph at least one message shows a high offset: only an offset that falls shows
        # that a paragraph began again.
        elapsed = (one.until - one.at) * random.uniform(0.5, 0.9)
        if elapsed <= _FIRST_SIGN:
            continue
        told = _progress(sketch, one, min(elapsed, 60.0))
        if twice and random.random() < 0.3:
            sketch.add(told.at, Action.REPEAT, told)


def _progress(
    sketch: Sketch, one: Playing, elapsed: float, after: Gap | None = None, at: float | None = None
) -> Fact:
    payload = ScriptProgress(one.paragraph, int(elapsed * _OFFSETS_A_SECOND))
    return sketch.tell(one.at + elapsed if at is None else at, payload, Channel.RTC, after=after)


def _reply_channels(random: Random, script: Script, character: Character) -> tuple[Channel, ...]:
    """Return by which channels the stream's replies are told; nothing if it gives none."""
    if random.random() < 0.4:
        return ()
    if not character.relayed:
        return (Channel.CALLBACK,)
    if not script.registered and character.scenario is not Scenario.LOST and random.random() < 0.2:
        # Subscribed to in the RTC room alone, so that no callback is missed.
        return (Channel.RTC,)
    return random.choice(
        ((Channel.CALLBACK,), (Channel.CALLBACK, Channel.RTC), (Channel.RTC, Channel.CALLBACK))
    )


def _reply(
    sketch: Sketch, character: Character, channels: tuple[Channel, ...], begin: float, until: float
) -> None:
    random = sketch.random
    at = begin + random.uniform(10, 60)
    while channels and at < until - 1:
        reply_id = f"{random.getrandbits(128):032x}"
        told = channels
        if character.scenario is Scenario.LOST and Channel.RTC in channels and random.random() < 0.3:
            told = (Channel.RTC,)
        for channel in told:
            fact = sketch.tell(at, ReplyFinished(reply_id), channel)
            if character.scenario is Scenario.DUPLICATES and random.random() < 0.3:
                if channel is Channel.RTC:
                    sketch.add(at, Action.REPEAT, fact)
                else:
                    sketch.tell_again(fact)
        at += random.uniform(30, 120)
