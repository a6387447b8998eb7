"""What statuses and states are called and coloured, on every dashboard alike."""

from dashboards.panels import Colour

STATUSES = {
    "down": Colour.BAD,
    "silent": Colour.ODD,
    "degraded": Colour.WARNING,
    "starting": Colour.QUIET,
    "healthy": Colour.GOOD,
    "ended": Colour.GREY,
}
"""Worst first, as on the status page."""

STATES = {
    "disconnected": Colour.BAD,
    "reconnecting": Colour.WARNING,
    "connecting": Colour.QUIET,
    "connected": Colour.GOOD,
    "end": Colour.GREY,
}
"""Of the RTMP push, worst first."""


def numbered(names: dict[str, Colour], first: int = 1) -> dict[float, tuple[str, Colour]]:
    """Return a number for each name, by which a query can tell it; the worst gets the greatest."""
    return {first + number: one for number, one in enumerate(reversed(names.items()))}


def as_number(query: str, label: str, names: dict[str, Colour], first: int = 1) -> str:
    """Return a query for the number of the name that holds.

    Args:
        query: a gauge that is 1 for the one that holds; `%s` stands for the matcher of its label.
        label: of the names.
        names: worst first.
        first: the number of the last.
    """
    parts = (
        "(" + query.replace("%s", f'{label}="{name}"') + f") * {number:g}"
        for number, (name, _) in numbered(names, first).items()
    )
    return f"max({' or '.join(parts)})"
