"""Rules that hold between keys: those that refuse a configuration, and those that warn."""

import ipaddress
import re
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path
from urllib.parse import urlsplit

from monitor.config.findings import Findings, Location
from monitor.config.sections import Table
from monitor.config.settings import (
    REMEMBERED_RECONNECTS,
    AdminSettings,
    AuthType,
    ReceiverSettings,
    Settings,
    SoftSugarFields,
    Source,
)
from monitor.config.values import Address, parse_address
from monitor.event import Vendor

RTC_TOKEN_LENGTH = 16
"""A shorter token can be guessed; in characters."""

METASTUDIO_GIVES_UP_SECONDS = 180
"""MetaStudio ends a job by itself after an outage of about this long (live_exit_config's default)."""

COUNTED_SECONDS = 120
"""What counts with a delay is exported within this time of a stream's end (`docs/health.md`, *Retired*)."""

OWN_NETWORKS = (IPv4Network("127.0.0.0/8"), IPv6Network("::1/128"))
"""Where whoever reaches a loopback address comes from."""

API_KEYS = {
    Vendor.METASTUDIO: ("project_id", "access_key", "secret_key", "token"),
    Vendor.SOFTSUGAR: ("app_id", "app_key"),
}
"""Which keys of `[sources.api]` are whose."""


def check_rules(values: Table, folder: Path, findings: Findings) -> None:
    """Note every mistake that lies between keys.

    Works on what was parsed, not on what was validated: a mistake in one key mustn't hide those of
    others. Values of a wrong type are passed over here; the validation names them.

    `values` is what was parsed, with its `…_file` keys; relative paths start at `folder`.
    """
    _check_listen(values, findings)
    _check_kafka(_table(values, "kafka"), folder, findings)
    sources = values.get("sources")
    if sources is None or sources == []:
        findings.mistake(
            ("sources",), "none is configured; add a [[sources]] table for each vendor's account"
        )
    names: dict[str, int] = {}
    for index, source in enumerate(sources if isinstance(sources, list) else []):
        if not isinstance(source, dict):
            continue
        name = source.get("name")
        if isinstance(name, str) and names.setdefault(name, index) != index:
            findings.mistake(("sources", index, "name"), f"is the name of sources[{names[name]}] already")
        _check_authentication(source, ("sources", index), findings)
        if isinstance(source.get("api"), dict):
            _check_api(source.get("vendor"), source["api"], ("sources", index, "api"), findings)


def _check_listen(values: Table, findings: Findings) -> None:
    receiver = _listen(_table(values, "receiver").get("listen", ReceiverSettings().listen))
    admin = _listen(_table(values, "admin").get("listen", AdminSettings().listen))
    if receiver and admin and receiver.port == admin.port != 0 and _overlap(receiver.host, admin.host):
        findings.mistake(
            ("admin", "listen"), "is the address of receiver.listen; operators need one of their own"
        )


def _listen(value: object) -> Address | None:
    try:
        return parse_address(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _overlap(one: str, other: str) -> bool:
    return one == other or _any_interface(one) or _any_interface(other)


def _any_interface(host: str) -> bool:
    number = _number(host)
    return number is not None and number.is_unspecified


def _number(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _check_kafka(kafka: Table, folder: Path, findings: Findings) -> None:
    protocol = kafka.get("security_protocol")
    if protocol in ("SASL_PLAINTEXT", "SASL_SSL"):
        for key, alternative in (
            ("sasl_mechanism", "sasl_mechanism"),
            ("sasl_username", "sasl_username"),
            ("sasl_password_file", "sasl_password"),
        ):
            if key not in kafka and alternative not in kafka:
                findings.mistake(("kafka", key), f"is missing; security_protocol {protocol} needs it")
    authority = kafka.get("ssl_cafile")
    if isinstance(authority, str) and not _is_file(folder, authority):
        findings.mistake(
            ("kafka", "ssl_cafile"),
            "the file isn't there (a relative path starts at the configuration's folder)",
        )


def _is_file(folder: Path, name: str) -> bool:
    try:
        return (folder / name).is_file()
    except ValueError:
        return False


def _check_authentication(source: Table, location: Location, findings: Findings) -> None:
    if source.get("vendor") != Vendor.METASTUDIO:
        return
    keyed = bool(source.get("keys")) or "keys_file" in source
    auth_type = source.get("auth_type")
    if auth_type in (AuthType.MSS_A, AuthType.MSS_A_HEAD) and not keyed:
        findings.mistake(
            location, f"auth_type {auth_type} needs the key that was given to MetaStudio: set keys_file"
        )
    if auth_type is None and keyed:
        findings.mistake(
            (*location, "auth_type"),
            "is missing though a key is set; say MSS_A_HEAD, MSS_A or NONE, as MetaStudio has it",
        )


def _check_api(vendor: object, api: Table, location: Location, findings: Findings) -> None:
    if vendor not in (Vendor.METASTUDIO, Vendor.SOFTSUGAR):
        return
    given = {key.removesuffix("_file") for key in api}
    for other, keys in API_KEYS.items():
        for key in keys:
            if other != vendor and key in given:
                findings.mistake((*location, key), f"is of {other}'s API; this source's vendor is {vendor}")
    if vendor == Vendor.SOFTSUGAR:
        required = ["app_id", "app_key"]
    elif given & {"access_key", "secret_key"}:
        required = ["project_id", "access_key", "secret_key"]
        if "token" in given:
            findings.mistake(location, "has both a token and an access key; keep one of the two")
    else:
        required = ["project_id"]
        if "token" not in given:
            findings.mistake(location, "needs access_key with secret_key_file, or token_file")
    for key in required:
        if key not in given:
            spelled = f"{key}_file" if key in ("app_key", "secret_key") else key
            findings.mistake((*location, spelled), f"is missing; {vendor}'s API needs it")


def check_cautions(settings: Settings, findings: Findings) -> None:
    """Note what can work but shouldn't, in settings that are otherwise right."""
    urls: dict[str, int] = {}
    accounts: dict[tuple[str, str | None], int] = {}
    for index, source in enumerate(settings.sources):
        location = ("sources", index)
        if (first := urls.setdefault(source.public_url, index)) != index:
            findings.caution(
                (*location, "public_url"),
                f"is that of sources[{first}] already: only one of the two is posted to",
            )
        elif not urlsplit(source.public_url).path.endswith(f"/callbacks/{source.name}"):
            findings.caution(
                (*location, "public_url"),
                "doesn't end in /callbacks/ and the source's name: unless a proxy changes the path, what is "
                "posted there comes to no source",
            )
        if source.allow_networks and _admits_nobody(source, settings.receiver):
            findings.caution(
                (*location, "allow_networks"),
                "refuses everybody: receiver.listen is reached from this machine alone, which is in none of "
                "them. Behind a proxy all connections are the proxy's: name it in receiver.trusted_proxies",
            )
        if source.vendor is Vendor.METASTUDIO:
            _caution_metastudio(source, location, findings)
        else:
            _caution_softsugar(source, location, findings)
        # MetaStudio's jobs say where they call back to, and so whose they are; sessions don't.
        account = source.api.account if source.vendor is Vendor.SOFTSUGAR and source.api else None
        if account is not None and (first := accounts.setdefault(account, index)) != index:
            findings.caution(
                (*location, "api"),
                f"is the account of sources[{first}] already: a session that calls back to neither of "
                "them, and is registered with neither, is not found",
            )
        for key, secret in _secrets(source):
            if secret != secret.strip():
                findings.caution((*location, *key), "has a space or a line's end around it: is that meant?")
        if source.rtc_token and not source.rtc_token.get_secret_value().isascii():
            findings.caution(
                (*location, "rtc_token"),
                "holds a letter beyond ASCII: requests can carry tokens that are made of it, and not itself",
            )
        if source.rtc_token and len(source.rtc_token.get_secret_value()) < RTC_TOKEN_LENGTH:
            findings.caution(
                (*location, "rtc_token"), f"is shorter than {RTC_TOKEN_LENGTH} characters: it can be guessed"
            )
    for index, network in enumerate(settings.receiver.trusted_proxies):
        if network.prefixlen == 0:
            findings.caution(
                ("receiver", "trusted_proxies", index),
                "is everybody: whoever connects may claim any address in X-Forwarded-For",
            )
    _caution_health(settings, findings)


def _secrets(source: Source) -> Iterator[tuple[Location, str]]:
    for index, key in enumerate(source.keys):
        yield ("keys", index), key.get_secret_value()
    if source.rtc_token:
        yield ("rtc_token",), source.rtc_token.get_secret_value()


def _admits_nobody(source: Source, receiver: ReceiverSettings) -> bool:
    if not _is_loopback(receiver.address.host):
        return False
    networks = (*source.allow_networks, *receiver.trusted_proxies)
    return not any(network.overlaps(own) for network in networks for own in OWN_NETWORKS)


def _is_loopback(host: str) -> bool:
    number = _number(host)
    return host == "localhost" if number is None else number.is_loopback


def _caution_health(settings: Settings, findings: Findings) -> None:
    health = settings.health
    if health.down_after_seconds >= METASTUDIO_GIVES_UP_SECONDS and any(
        source.vendor is Vendor.METASTUDIO for source in settings.sources
    ):
        findings.caution(
            ("health", "down_after_seconds"),
            f"MetaStudio ends a job after an outage of about {METASTUDIO_GIVES_UP_SECONDS} s: "
            "a stream would be gone before it counts as down",
        )
    if health.abandon_after_seconds <= health.silent_after_seconds:
        findings.caution(
            ("health", "abandon_after_seconds"),
            "isn't longer than silent_after_seconds: a stream would be given up as lost before it counts "
            "as silent",
        )
    if health.flapping_reconnects > REMEMBERED_RECONNECTS:
        findings.caution(
            ("health", "flapping_reconnects"),
            f"is more than the {REMEMBERED_RECONNECTS} that are remembered: no stream ever flaps",
        )
    for name in ("keep_ended_seconds", "keep_abnormal_seconds"):
        if getattr(health, name) < COUNTED_SECONDS:
            findings.caution(
                ("health", name),
                f"is shorter than {COUNTED_SECONDS} s: a stream's series may go before its last skipped "
                "paragraphs and missed callbacks are counted",
            )


def _caution_metastudio(source: Source, location: Location, findings: Findings) -> None:
    if source.auth_type is AuthType.NONE:
        unused = " (the keys that are set are not used)" if source.keys else ""
        findings.caution((*location, "auth_type"), f"is NONE: anybody who knows the URL can post{unused}")
    if source.public_url.lower().startswith("http:"):
        findings.caution(
            (*location, "public_url"), "begins with http://, but MetaStudio posts to https:// only"
        )
    if source.fields != SoftSugarFields():
        findings.caution((*location, "fields"), "has no effect: only SoftSugar's callbacks are read by it")


def _caution_softsugar(source: Source, location: Location, findings: Findings) -> None:
    if not source.keys:
        findings.caution((*location, "keys"), "none is set: anybody who knows the URL can post")
    if source.auth_type is not AuthType.NONE:
        findings.caution((*location, "auth_type"), "has no effect: SoftSugar signs whenever a key is set")
    for index, key in enumerate(source.keys):
        text = key.get_secret_value()
        if not all(re.search(kind, text) for kind in ("[A-Z]", "[a-z]", "[0-9]")):
            findings.caution(
                (*location, "keys", index),
                "SoftSugar wants upper case, lower case and digits in an AuthKey: is this the right one?",
            )


def _table(values: Table, key: str) -> Table:
    table = values.get(key)
    return table if isinstance(table, dict) else {}
