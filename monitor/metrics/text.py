"""The text of the exposition formats: all that is written of the streams' families.

Prometheus' text format 0.0.4 and OpenMetrics 1.0.0 differ in a counter's name in its header and in the
last line alone, as far as these families go.
"""

from collections.abc import Iterable, Iterator, Sequence

from monitor.metrics.catalogue import Family, FamilyType

PIECE = 500
"""Streams written at once: some 60 to 300 kB, less than a millisecond of work."""

OPENMETRICS_END = b"# EOF\n"
"""The last line of a page in OpenMetrics."""

Block = tuple[str, ...]
"""Whole lines of one stream, cut where its labels go: `labels.join(block)` is the text."""


def label(name: str, value: str) -> str:
    r"""Return `name="value"`, with the backslashes, quotes and line ends of the value escaped.

    Half a surrogate pair, which JSON can carry and UTF-8 can't, is spelled out as `\udxxx`.
    """
    if not value.isascii():
        value = value.encode("utf-8", "backslashreplace").decode()
    escaped = value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
    return f'{name}="{escaped}"'


def block(family: Family, samples: Iterable[tuple[str, float]]) -> Block:
    """Return lines that can be made before it is known which stream they are of.

    Args:
        family: its line of the catalogue.
        samples: the label text that the family adds, and the value: finite, no bool.
    """
    cuts = [f"{family.name}{{"]
    for more, value in samples:
        cuts[-1] += f"{family.name}{{" if len(cuts) > 1 else ""
        cuts.append(f",{more}}} {value!r}\n")
    return tuple(cuts)


def write_header(family: Family, *, openmetrics: bool) -> bytes:
    """Return the lines that introduce a family."""
    counter = family.type is FamilyType.COUNTER
    name = family.name.removesuffix("_total") if openmetrics and counter else family.name
    return f"# HELP {name} {family.help}\n# TYPE {name} {family.type}\n".encode()


def write_numbers(
    family: Family, more: str, streams: Sequence[str], values: Sequence[float | None]
) -> Iterator[bytes]:
    """Yield a line for each stream that has a value.

    Args:
        family: its line of the catalogue.
        more: the label text that the family adds, or nothing.
        streams: the labels of each stream.
        values: of each stream: finite, no bool; None for no line. Seconds are written to the millisecond.
    """
    head = f"{family.name}{{"
    tail = f",{more}}} " if more else "} "
    in_seconds = family.name.removesuffix("_total").endswith("_seconds")
    for start in range(0, len(streams), PIECE):
        piece = slice(start, start + PIECE)
        pairs = zip(streams[piece], values[piece], strict=True)
        if in_seconds:
            # The shortest exact text of a float takes twice as long, for microseconds that nobody needs.
            lines = [f"{head}{labels}{tail}{value:.3f}\n" for labels, value in pairs if value is not None]
        else:
            lines = [f"{head}{labels}{tail}{value}\n" for labels, value in pairs if value is not None]
        yield "".join(lines).encode()


def write_blocks(streams: Sequence[str], blocks: Sequence[Block]) -> Iterator[bytes]:
    """Yield the lines of each stream.

    Args:
        streams: the labels of each stream.
        blocks: of each stream; empty for no line.
    """
    for start in range(0, len(streams), PIECE):
        piece = slice(start, start + PIECE)
        texts = [labels.join(cuts) for labels, cuts in zip(streams[piece], blocks[piece], strict=True)]
        yield "".join(texts).encode()
