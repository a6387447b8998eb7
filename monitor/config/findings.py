"""What is wrong with a configuration: collected while it is read, so that all mistakes show at once."""

from collections.abc import Sequence
from dataclasses import dataclass, field

Location = tuple[str | int, ...]
"""Where in the configuration something stands: ("sources", 1, "keys", 0)."""

FILE: Location = ()
"""The location of what concerns the whole file."""


def written(location: Sequence[str | int]) -> str:
    """Return a location as people write it: `sources[1].keys[0]`."""
    text = ""
    for part in location:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text


@dataclass(slots=True)
class Findings:
    """Mistakes and warnings, each with its location. file: how the configuration file is called."""

    file: str
    mistakes: list[tuple[Location, str]] = field(default_factory=list)
    cautions: list[tuple[Location, str]] = field(default_factory=list)

    def mistake(self, location: Location, sentence: str) -> None:
        """Note that the configuration can't work. The sentence never repeats a value."""
        self.mistakes.append((location, sentence))

    def caution(self, location: Location, sentence: str) -> None:
        """Note what can work but shouldn't. The sentence never repeats a value."""
        self.cautions.append((location, sentence))

    def problems(self) -> list[str]:
        """Return one line a mistake, section by section."""
        return self._lines(self.mistakes)

    def warnings(self) -> tuple[str, ...]:
        """Return one line a warning, section by section."""
        return tuple(self._lines(self.cautions))

    def _lines(self, noted: list[tuple[Location, str]]) -> list[str]:
        in_order = sorted(noted, key=lambda note: _order(note[0]))
        return list(
            dict.fromkeys(f"{written(location) or self.file}: {sentence}" for location, sentence in in_order)
        )


def _order(location: Location) -> tuple[str, int]:
    """Sort by section, and by place in a list of them; what came first within one stays first."""
    section = str(location[0]) if location else ""
    place = location[1] if len(location) > 1 and isinstance(location[1], int) else -1
    return section, place
