"""How Python runs a process of the service: when it collects garbage, and how its threads take turns."""

import gc
import sys

YOUNG_OBJECTS = 5_000
"""More objects than before after which it looks for cycles among the new ones: about a millisecond."""

YOUNG_TURNS = 4
"""Such looks after which it looks at all of these objects once more: 5 ms. Each is looked at twice at most,
so rarer looks would save nothing."""

NEVER = 1_000_000
"""Looks of the second kind before one at everything: it doesn't come to it."""

SWITCH_SECONDS = 0.0005
"""How long a thread waits for the interpreter until it demands it: less than a slice of long work on the
event loop takes (a checkpoint's is a millisecond).

The loop lets go of the interpreter in each turn, but so briefly that a thread which waits for it comes too
late, and then waits anew. With Python's 5 ms the thread that keeps callbacks got no turn before all slices
were done: half a second with 10,000 streams.
"""


def prepare_interpreter() -> None:
    """Make long work on the event loop leave callbacks alone, in the whole process."""
    _spare_collections()
    sys.setswitchinterval(SWITCH_SECONDS)


def _spare_collections() -> None:
    """Let the garbage collector leave alone what lives long.

    States of streams hold no cycles, and neither do a server's connections once they are closed: reference
    counts free them. A look at everything would walk all of it for nothing, and hold the event loop for
    more than 100 ms where many streams live; in a receiver it makes one callback of a hundred wait.
    """
    gc.set_threshold(YOUNG_OBJECTS, YOUNG_TURNS, NEVER)
