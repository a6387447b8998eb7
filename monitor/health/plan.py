"""The plan: positions of paragraphs in playing order, and how one that wasn't planned extends it."""

from monitor.event import MOST_PARAGRAPHS, MOST_SCRIPT_BYTES, Paragraph, RandomPlayMode
from monitor.health.script_state import Rounds

ROOMY = 64
"""A plan of fewer paragraphs than these has room for another, however long their names are."""


def is_too_much(rounds: Rounds, key: str) -> bool:
    """Whether the plan doesn't hold a paragraph, and can't: a state has its bounds, whatever is told."""
    order, current = rounds.plan, rounds.round
    # Most of what is told was played before, and a long plan takes long to look through.
    if len(order) < ROOMY or (current is not None and key in current.played) or key in order:
        return False
    return len(order) >= MOST_PARAGRAPHS or sum(len(one.encode()) for one in order) >= MOST_SCRIPT_BYTES


def include(rounds: Rounds, key: str) -> None:
    """Extend the plan by a paragraph that it doesn't hold (the script was rewritten while live).

    It stands where its number says within its scene; in a scene of its own, after the scene that plays.
    """
    order = rounds.plan
    if key in order:
        return
    paragraph = Paragraph.from_key(key)
    if order:
        tail = Paragraph.from_key(order[-1])
        if tail.scene == paragraph.scene and tail.sequence_no < paragraph.sequence_no:
            rounds.plan = (*order, key)
            return
    place = _place_in_scene(order, paragraph)
    if place is None:
        place = _place_after_playing(rounds)
    rounds.plan = (*order[:place], key, *order[place:])


def after(rounds: Rounds, key: str, other: str) -> bool:
    """Whether the paragraph stands behind the other one; both are in the plan."""
    order = rounds.plan
    return order.index(key) > order.index(other)


def is_first(rounds: Rounds, key: str) -> bool:
    """Whether the paragraph stands at the start of the plan."""
    return rounds.plan[0] == key


def is_last(rounds: Rounds, key: str) -> bool:
    """Whether the paragraph stands at the end of the plan."""
    return rounds.plan[-1] == key


def complete(rounds: Rounds) -> bool:
    """Whether the current round has played every paragraph of a plan that is known.

    The first of it may be what ended the round before and was told again (`Round.retold`).
    """
    if rounds.origin is None or rounds.round is None:
        return False
    played, before = rounds.round.played, rounds.finished
    if before is not None and before.round.retold:
        return all(key in played or key == before.round.last for key in rounds.plan)
    return len(played) >= len(rounds.plan) and all(map(played.__contains__, rounds.plan))


def is_sequential(rounds: Rounds, mode: RandomPlayMode | None) -> bool:
    """Whether the current round plays in the plan's order.

    Every first round does; later ones only if the job said NONE (the default is SCRIPT_ITEM).
    """
    return rounds.count == 0 or mode is RandomPlayMode.NONE


def left(rounds: Rounds, mode: RandomPlayMode | None) -> int:
    """Return how many paragraphs the current round has yet to begin; what it skipped in order isn't one."""
    if rounds.round is None:
        return len(rounds.plan)
    if is_sequential(rounds, mode):
        return len(rounds.plan) - 1 - rounds.plan.index(rounds.round.last)
    return sum(key not in rounds.round.played for key in rounds.plan)


def _place_in_scene(order: tuple[str, ...], paragraph: Paragraph) -> int | None:
    place = None
    for index, other in enumerate(order):
        known = Paragraph.from_key(other)
        if known.scene == paragraph.scene:
            if known.sequence_no > paragraph.sequence_no:
                return index if place is None else place
            place = index + 1
    return place


def _place_after_playing(rounds: Rounds) -> int:
    order = rounds.plan
    last = rounds.round.last if rounds.round is not None else None
    if last is None or last not in order:
        return len(order)
    place = order.index(last) + 1
    scene = Paragraph.from_key(last).scene
    while place < len(order) and Paragraph.from_key(order[place]).scene == scene:
        place += 1
    return place
