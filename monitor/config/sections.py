"""The keys of each table of the configuration, and which of them name a file that holds a secret."""

import difflib
from typing import Any, get_args

from pydantic import BaseModel

from monitor.config.findings import Location
from monitor.config.settings import ApiSettings, KafkaSettings, Settings, Source

Table = dict[str, Any]
"""A table of the configuration before it is validated: any value may stand behind any key."""

SECRET_FILES: dict[type[BaseModel], dict[str, str]] = {
    KafkaSettings: {"sasl_password_file": "sasl_password"},
    Source: {"keys_file": "keys", "rtc_token_file": "rtc_token"},
    ApiSettings: {"secret_key_file": "secret_key", "token_file": "token", "app_key_file": "app_key"},
}
"""For each table: a key that names a file, and the key that takes what the file holds."""

SECTIONS = tuple(name for name in Settings.model_fields if name != "warnings")
"""The tables at the top of the file."""


def keys_at(location: Location) -> list[str]:
    """Return every key that the table at a location takes."""
    model: type[BaseModel] = Settings
    for part in location:
        if isinstance(part, str):
            model = _model_in(model.model_fields[part].annotation) or model
    if model is Settings:
        return list(SECTIONS)
    return [*model.model_fields, *SECRET_FILES.get(model, {})]


def suggestion(name: str, candidates: list[str]) -> str:
    """Return `; did you mean …?` for the candidate that a name resembles, else nothing."""
    close = difflib.get_close_matches(name, candidates, n=1)
    return f"; did you mean {close[0]}?" if close else ""


def _model_in(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_model_in, get_args(annotation))), None)
