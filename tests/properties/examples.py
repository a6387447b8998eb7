"""How many examples each property is tried with; `make properties` takes twenty times as many."""

import os

from hypothesis import settings

TIMES = int(os.environ.get("EXAMPLES_TIMES", "1"))


def examples(number: int) -> settings:
    """Return the settings of a property that `make test` tries with so many examples."""
    return settings(max_examples=number * TIMES)
