"""The plan: positions of paragraphs in playing order, and how one that wasn't planned extends it."""

from monitor.event import Paragraph
from monitor.health.stream import Script


def include(script: Script, key: str, *, overtaken_by: str | None = None) -> None:
    """Extend the plan by a paragraph that it doesn't hold (the script was rewritten while live).

    It stands where its number says within its scene; in a scene of its own, before the paragraph that
    overtook it, else after the scene that plays.
    """
    order = script.plan
    if key in order:
        return
    paragraph = Paragraph.from_key(key)
    place = _place_in_scene(order, paragraph)
    if place is None and overtaken_by in order:
        place = order.index(overtaken_by)
    if place is None:
        place = _place_after_playing(script)
    order.insert(place, key)


def after(script: Script, key: str, other: str) -> bool:
    """Whether the paragraph stands behind the other one; both are in the plan."""
    order = script.plan
    return order.index(key) > order.index(other)


def is_first(script: Script, key: str) -> bool:
    """Whether the paragraph stands at the start of the plan."""
    return script.plan[0] == key


def is_last(script: Script, key: str) -> bool:
    """Whether the paragraph stands at the end of the plan."""
    return script.plan[-1] == key


def complete(script: Script) -> bool:
    """Whether the current round has played every paragraph of a plan that is known."""
    if script.origin is None or script.round is None:
        return False
    played = script.round.played
    return all(key in played for key in script.plan)


def _place_in_scene(order: list[str], paragraph: Paragraph) -> int | None:
    place = None
    for index, other in enumerate(order):
        known = Paragraph.from_key(other)
        if known.scene == paragraph.scene:
            if known.sequence_no > paragraph.sequence_no:
                return index if place is None else place
            place = index + 1
    return place


def _place_after_playing(script: Script) -> int:
    order = script.plan
    last = script.round.last if script.round is not None else None
    if last is None or last not in order:
        return len(order)
    place = order.index(last) + 1
    scene = Paragraph.from_key(last).scene
    while place < len(order) and Paragraph.from_key(order[place]).scene == scene:
        place += 1
    return place
