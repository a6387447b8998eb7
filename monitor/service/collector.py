"""How Python's garbage collector treats a process of the service."""

import gc

YOUNG_OBJECTS = 5_000
"""More objects than before after which it looks for cycles among the new ones: about a millisecond."""

YOUNG_TURNS = 4
"""Such looks after which it looks at all of these objects once more: 5 ms. Each is looked at twice at most,
so rarer looks would save nothing."""

NEVER = 1_000_000
"""Looks of the second kind before one at everything: it doesn't come to it."""


def spare_collections() -> None:
    """Let the garbage collector leave alone what lives long, in the whole process.

    States of streams hold no cycles, and neither do a server's connections once they are closed: reference
    counts free them. A look at everything would walk all of it for nothing, and hold the event loop for
    more than 100 ms where many streams live; in a receiver it makes one callback of a hundred wait.
    """
    gc.set_threshold(YOUNG_OBJECTS, YOUNG_TURNS, NEVER)
