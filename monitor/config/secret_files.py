"""Puts what the secret files hold in the place of the keys that name them."""

import stat
from pathlib import Path

from pydantic import BaseModel, SecretStr, TypeAdapter

from monitor.config.findings import FILE, Findings, Location
from monitor.config.sections import SECRET_FILES, Table
from monitor.config.settings import ApiSettings, KafkaSettings, Source
from monitor.config.values import KEY_LENGTH, HeaderSecret

_sent_in_header: TypeAdapter[SecretStr] = TypeAdapter(HeaderSecret)


def tables(values: Table) -> list[tuple[Location, type[BaseModel], Table]]:
    """Return each table that can hold a secret; what isn't a table is left to the validation."""
    sources = values.get("sources")
    found: list[tuple[Location, type[BaseModel], object]] = [(("kafka",), KafkaSettings, values.get("kafka"))]
    for index, source in enumerate(sources if isinstance(sources, list) else []):
        found.append((("sources", index), Source, source))
        if isinstance(source, dict):
            found.append((("sources", index, "api"), ApiSettings, source.get("api")))
    return [(location, model, table) for location, model, table in found if isinstance(table, dict)]


def read_secret_files(values: Table, folder: Path, findings: Findings) -> None:
    """Replace each `…_file` key with the secret that its file holds, in place.

    Args:
        values: the configuration as it was parsed.
        folder: where relative paths start.
        findings: takes what is wrong with a file; its key is then gone from `values`.
    """
    for location, model, table in tables(values):
        for file_key, content_key in SECRET_FILES[model].items():
            if file_key not in table:
                continue
            name = table.pop(file_key)
            where = (*location, file_key)
            if content_key in table:
                findings.mistake(where, f"{content_key} is set as well; keep one of the two")
                continue
            text = _read(where, name, folder, findings)
            if text is None:
                continue
            if content_key == "keys":
                table[content_key] = _keys(where, text, findings)
            elif len(text.strip().splitlines()) > 1:
                # Taken as it is, it would be a secret that nobody has.
                findings.mistake(where, "the file must hold one line, the secret alone")
            else:
                table[content_key] = text.strip()
                if file_key in model.model_fields:
                    table[file_key] = folder / name


def read_again(path: Path) -> SecretStr:
    """Return what a file that held a secret for a header holds by now.

    Raises:
        OSError: it can't be read.
        ValueError: it holds something else.
    """
    return _sent_in_header.validate_python(path.read_text(encoding="utf-8-sig").strip())


def warn_of_open_file(values: Table, path: Path, findings: Findings) -> None:
    """Warn if the configuration itself holds secrets and everybody may read it.

    `values` is what was parsed from `path`, before files were read into it.
    """
    inline = any(
        content_key in table
        for _, model, table in tables(values)
        for content_key in SECRET_FILES[model].values()
    )
    if inline and _readable_by_all(path):
        findings.caution(FILE, "holds secrets, and every user of this machine may read it (chmod o-r)")


def _read(where: Location, name: object, folder: Path, findings: Findings) -> str | None:
    if not isinstance(name, str):
        findings.mistake(where, "must be a text in quotes, the path of a file")
        return None
    path = folder / name
    try:
        # Some editors begin a text with a mark of its encoding, which is no part of a secret.
        text = path.read_text(encoding="utf-8-sig")
        open_to_all = _readable_by_all(path)
    except FileNotFoundError:
        findings.mistake(where, "the file isn't there (a relative path starts at the configuration's folder)")
        return None
    except OSError as error:
        findings.mistake(where, f"the file can't be read: {error.strerror}")
        return None
    except ValueError:
        findings.mistake(where, "the file isn't a text in UTF-8, or its path can't be one")
        return None
    if not text.strip():
        findings.mistake(where, "the file is empty")
        return None
    if open_to_all:
        findings.caution(where, "every user of this machine may read the file (chmod o-r)")
    return text


def _keys(where: Location, text: str, findings: Findings) -> list[str]:
    keys = []
    for number, line in enumerate(text.splitlines(), start=1):
        key = line.strip()
        if len(key) > KEY_LENGTH:
            findings.mistake(
                where, f"line {number} is longer than {KEY_LENGTH} characters, which no vendor's key can be"
            )
        elif key:
            keys.append(key)
    return keys


def _readable_by_all(path: Path) -> bool:
    return bool(path.stat().st_mode & stat.S_IROTH)
