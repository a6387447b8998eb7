"""The text of the exposition formats: one writer for every family of the streams.

Prometheus' text format 0.0.4 and OpenMetrics 1.0.0 differ in a counter's name in its header and in the
last line alone, as far as these families go.
"""

from collections.abc import Iterable, Iterator
from itertools import islice

from monitor.metrics.catalogue import Family, FamilyType

LINES = 500
"""Lines made at once: about 60 kB, some 100 µs of work that no other thread can interrupt."""

OPENMETRICS_END = b"# EOF\n"
"""The last line of a page in OpenMetrics."""


def label(name: str, value: str) -> str:
    r"""Return `name="value"`, with the backslashes, quotes and line ends of the value escaped.

    Half a surrogate pair, which JSON can carry and UTF-8 can't, is spelled out as `\udxxx`.
    """
    if not value.isascii():
        value = value.encode("utf-8", "backslashreplace").decode()
    escaped = value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
    return f'{name}="{escaped}"'


def write_family(
    family: Family, samples: Iterable[tuple[str, float]], *, openmetrics: bool
) -> Iterator[bytes]:
    """Yield the lines of a family, in pieces of `LINES`.

    Args:
        family: its line of the catalogue.
        samples: the text between the braces, and the value: finite, no bool.
        openmetrics: whether the page is in OpenMetrics.
    """
    name = family.name
    title = name.removesuffix("_total") if openmetrics and family.type is FamilyType.COUNTER else name
    yield f"# HELP {title} {family.help}\n# TYPE {title} {family.type}\n".encode()
    remaining = iter(samples)
    while lines := [f"{name}{{{labels}}} {value}\n" for labels, value in islice(remaining, LINES)]:
        yield "".join(lines).encode()
