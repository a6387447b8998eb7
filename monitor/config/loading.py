"""Reads the configuration: the file, the environment on top, the secret files, then all the checks.

Relative paths, of the file and of the environment alike, start at the configuration file's folder.
"""

import copy
import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsConfigDict

from monitor.config.findings import FILE, Findings, Location, written
from monitor.config.rules import check_cautions, check_rules
from monitor.config.secret_files import read_secret_files, warn_of_open_file
from monitor.config.sections import SECTIONS, Table, keys_at, suggestion
from monitor.config.settings import LogSettings, Settings
from monitor.errors import ConfigurationError

_PREFIX = "MONITOR_"
_NESTED = "__"


def load_settings(path: Path, environment: Mapping[str, str]) -> Settings:
    """Read the settings from a TOML file, with the environment's `MONITOR_…` on top.

    A nested key takes two underscores (`MONITOR_LOG__BACKEND=kafka`); `MONITOR_SOURCES` is a JSON
    list that replaces the file's sources. Relative paths start at the file's folder.

    Args:
        path: the TOML file.
        environment: usually `os.environ`; names that don't begin with `MONITOR_` are not looked at.

    Raises:
        ConfigurationError: it can't work; names every mistake, and repeats no value.
    """
    try:
        return _load(path, environment)
    except RecursionError:
        problem = "nested too deeply, there or in what the environment adds to it"
        raise ConfigurationError([f"{path}: {problem}"]) from None


def _load(path: Path, environment: Mapping[str, str]) -> Settings:
    findings = Findings(str(path))
    from_file = _read_file(path)
    warn_of_open_file(from_file, path, findings)
    values = _merged(from_file, _read_environment(environment, findings))
    if "warnings" in values:
        del values["warnings"]
        findings.mistake(("warnings",), "is not a section")
    check_rules(values, path.parent, findings)
    resolved = copy.deepcopy(values)
    read_secret_files(resolved, path.parent, findings)
    _resolve_paths(resolved, path.parent)
    settings = _validated(resolved, findings)
    problems = findings.problems()
    if problems or settings is None:
        raise ConfigurationError(problems)
    check_cautions(settings, findings)
    return settings.model_copy(update={"warnings": findings.warnings()})


def _read_file(path: Path) -> Table:
    try:
        # Some editors begin a text with a mark of its encoding.
        return tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except FileNotFoundError:
        problem = "the configuration file isn't there; name another with --config"
    except OSError as error:
        problem = f"the configuration file can't be read: {error.strerror}"
    except UnicodeDecodeError:
        problem = "the configuration file isn't a text in UTF-8"
    except tomllib.TOMLDecodeError as error:
        problem = f"isn't valid TOML: {error}"
    raise ConfigurationError([f"{path}: {problem}"])


class _Sections(BaseSettings):
    """What the environment may set; each value is checked later, together with the file's."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, env_nested_delimiter=_NESTED)

    log: dict[str, Any] = {}
    kafka: dict[str, Any] = {}
    receiver: dict[str, Any] = {}
    admin: dict[str, Any] = {}
    health: dict[str, Any] = {}
    links: dict[str, Any] = {}
    clock: dict[str, Any] = {}
    sources: list[Any] = []


class _Environment(EnvSettingsSource):
    """Reads a given environment rather than the process's own."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        super().__init__(_Sections)

    def _load_env_vars(self) -> Mapping[str, str | None]:
        return {name.lower(): value for name, value in self._environment.items()}


def _read_environment(environment: Mapping[str, str], findings: Findings) -> Table:
    usable = {}
    for name, value in environment.items():
        section, *keys = name.upper().removeprefix(_PREFIX).lower().split(_NESTED)
        if not name.upper().startswith(_PREFIX):
            continue
        if section == "sources" and keys:
            findings.mistake(
                (section,),
                f"{name} is of one source; MONITOR_SOURCES takes all of them, as JSON",
            )
        elif section in SECTIONS:
            if keys or _is_json(value):
                usable[name] = value
            else:
                findings.mistake((section,), f"{name} in the environment isn't JSON")
        elif keys:
            # Without a nested key the name may be somebody else's: Kubernetes puts MONITOR_PORT and
            # the like into every container that runs beside a Service called "monitor".
            findings.mistake(
                (section, *keys),
                f"{name} in the environment names no section{suggestion(section, list(SECTIONS))}",
            )
    return _Environment(usable)()


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _merged(lower: Table, upper: Table) -> Table:
    """Return both, `upper` winning; tables are merged, lists are replaced."""
    merged = dict(lower)
    for key, value in upper.items():
        below = merged.get(key)
        merged[key] = _merged(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def _resolve_paths(values: Table, folder: Path) -> None:
    log = values.setdefault("log", {})
    if isinstance(log, dict):
        path = log.setdefault("path", str(LogSettings().path))
        # Of an empty one, as of a variable that nobody set, it would make the folder.
        if isinstance(path, str) and path:
            log["path"] = folder / path
    kafka = values.get("kafka")
    if isinstance(kafka, dict) and isinstance(kafka.get("ssl_cafile"), str):
        kafka["ssl_cafile"] = folder / kafka["ssl_cafile"]


def _validated(values: Table, findings: Findings) -> Settings | None:
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            findings.mistake(detail["loc"], _sentence(detail))
    return None


_SENTENCES = {
    "missing": "is missing",
    "model_type": "must be a table",
    "model_attributes_type": "must be a table",
    "tuple_type": "must be a list",
    "string_type": "must be a text in quotes",
    "path_type": "must be a text in quotes",
    "string_too_short": "must not be empty",
    "finite_number": "must be a finite number",
    "int_from_float": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
}

_PATTERNS = {
    "name": "must begin with a letter or digit and hold only letters, digits, '_', '.' and '-'",
    "topic_prefix": "may hold only letters, digits, '_', '.' and '-'",
}


def _sentence(detail: ErrorDetails) -> str:
    """Say what is wrong without repeating the value, which may be a secret in the wrong place."""
    kind, context = detail["type"], detail.get("ctx", {})
    location: Location = detail["loc"]
    key = location[-1] if location else FILE
    if kind == "extra_forbidden":
        return _unknown(location)
    if kind == "tuple_type" and location == ("sources",):
        return "must be a list; in TOML each source is headed [[sources]]"
    if kind == "enum" and key == "auth_type" and detail["input"] == "MEITUAN_DEFAULT":
        return "MEITUAN_DEFAULT can't be verified: its signature isn't published; use MSS_A_HEAD or MSS_A"
    if kind in ("enum", "literal_error"):
        return f"must be {context['expected']}"
    if kind == "greater_than":
        return f"must be greater than {context['gt']:g}"
    if kind == "less_than_equal":
        return f"must be at most {context['le']:g}"
    if kind == "string_too_long":
        return f"is longer than {context['max_length']} characters"
    if kind == "string_pattern_mismatch":
        return _PATTERNS[str(key)]
    if kind == "value_error":
        return str(context["error"])
    return _SENTENCES.get(kind, "has a value of a wrong kind")


def _unknown(location: Location) -> str:
    table = location[:-1]
    place = f"a key of {written(table)}" if table else "a section"
    return f"is not {place}{suggestion(str(location[-1]), keys_at(table))}"
