"""The script of a simulated MetaStudio stream: its plan, and which paragraph is played when."""

from random import Random
from typing import NamedTuple

from monitor.event import Paragraph, RandomPlayMode
from monitor.simulator.life import Character
from monitor.simulator.options import Scenario

_SCENES = ("Product 1", "Produkt „Zwei“", "商品/3", "Questions & answers")


class Script(NamedTuple):
    """What a stream plays. plan: in the first round's order. mode: the order of the later rounds.

    registered: somebody tells the service of the plan.
    """

    plan: tuple[Paragraph, ...]
    mode: RandomPlayMode
    registered: bool


class Playing(NamedTuple):
    """One paragraph being played. round: from 0. place: within its round. until: simulated seconds."""

    paragraph: Paragraph
    round: int
    place: int
    at: float
    until: float


def script_of(random: Random, character: Character) -> Script:
    """Draw up a script."""
    registered = character.scenario is Scenario.SKIPPING or random.random() < 0.6
    # What is registered in a random order can't show which paragraphs were skipped until the round
    # after the next: so who skips plays in order.
    modes = list(RandomPlayMode) if character.scenario is not Scenario.SKIPPING else [RandomPlayMode.NONE]
    return Script(_plan(random), random.choice(modes), registered)


def performance(
    random: Random, script: Script, character: Character, begin: float, until: float
) -> list[Playing]:
    """Return what is played between two simulated times, in order."""
    usual = {paragraph: random.uniform(8, 40) for paragraph in script.plan}
    played: list[tuple[Paragraph, int, int, float]] = []
    at, number = begin, 0
    stall_at, stall = until, 0.0
    if character.scenario is Scenario.STALL:
        stall_at = begin + (until - begin) * random.uniform(0.3, 0.7)
        stall = random.uniform(150, 400)
    last: Paragraph | None = None
    while at < until:
        order = _order(random, script, number, last, relayed=character.relayed)
        if character.scenario is Scenario.SKIPPING:
            order = order[:1] + [paragraph for paragraph in order[1:] if random.random() > 0.25]
        for place, paragraph in enumerate(order):
            if at < until:
                played.append((paragraph, number, place, at))
            at += usual[paragraph] * random.uniform(0.9, 1.1)
            if at > stall_at:
                at, stall_at = at + stall, until + stall
        last, number = order[-1], number + 1
    if _is_undecided(script, played):
        del played[-1]
    ends = [*(following for *_, following in played[1:]), until]
    # Not strict: nothing is played where the stream is over before its script begins.
    return [Playing(*one, end) for one, end in zip(played, ends, strict=False)]


def _plan(random: Random) -> tuple[Paragraph, ...]:
    plan: list[Paragraph] = []
    scenes = random.randint(1, 3)
    size = random.randint(max(3, 2 * scenes), 12)
    for scene in range(scenes):
        share = size // scenes + (size % scenes if scene == 0 else 0)
        plan += [Paragraph(_SCENES[scene], number) for number in range(1, share + 1)]
    return tuple(plan)


def _order(
    random: Random, script: Script, number: int, last: Paragraph | None, *, relayed: bool
) -> list[Paragraph]:
    """Return the order of one round."""
    if number == 0 or script.mode is RandomPlayMode.NONE:
        return list(script.plan)
    scenes: dict[str, list[Paragraph]] = {}
    for paragraph in script.plan:
        scenes.setdefault(paragraph.scene, []).append(paragraph)
    groups = list(scenes.values())
    if script.mode is not RandomPlayMode.SCRIPT_ITEM:
        random.shuffle(groups)
    if script.mode is not RandomPlayMode.SCENE:
        for group in groups:
            random.shuffle(group)
    order = [paragraph for group in groups for paragraph in group]
    if script.mode is RandomPlayMode.SCENE_AND_SCRIPT_ITEM:
        random.shuffle(order)
    if order[0] == last:
        # Told again within the vendors' attempts, what plays is taken for a delivery made twice.
        order.append(order.pop(0))
    if number == 1 and not script.registered and (relayed or not _shows_a_second_round(script, order)):
        order.remove(script.plan[0])
        order.insert(0, script.plan[0])
    return order


def _shows_a_second_round(script: Script, order: list[Paragraph]) -> bool:
    """Whether a random second round after an unknown plan can be told from repeated deliveries.

    Its first two paragraphs were played before; neither may be the first round's first (which begins a
    round by itself) or its last (which was just playing).
    """
    return not {order[0], order[1]} & {script.plan[0], script.plan[-1]}


def _is_undecided(script: Script, played: list[tuple[Paragraph, int, int, float]]) -> bool:
    """Whether the last paragraph alone leaves open if a second round has begun."""
    if not played or script.registered:
        return False
    paragraph, number, place, _ = played[-1]
    return number == 1 and place == 0 and paragraph != script.plan[0]
