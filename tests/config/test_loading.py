import ipaddress
import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from monitor.clock import RehearsalClock, SystemClock
from monitor.config import (
    Address,
    AuthType,
    ClockSettings,
    HealthSettings,
    Settings,
    Source,
    build_clock,
    load_settings,
    parse_address,
)
from monitor.errors import ConfigurationError
from monitor.event import Vendor

BAD = Path(__file__).parent / "bad"

SOFTSUGAR = """
[[sources]]
name = "softsugar-prod"
vendor = "softsugar"
public_url = "https://hooks.example.com/callbacks/softsugar-prod"
"""

METASTUDIO = """
[[sources]]
name = "metastudio-prod"
vendor = "metastudio"
public_url = "https://hooks.example.com/callbacks/metastudio-prod"
"""

EVERY_KEY = """
[log]
backend = "kafka"
path = "kept/events.db"
retention_hours = 24
undecodable_share = 0.75

[kafka]
bootstrap_servers = "one.example.com:9092,[2001:db8::1]:9093"
group_id = "watchers"
topic_prefix = "live-"
partitions = 6
replication_factor = 1
security_protocol = "SASL_SSL"
sasl_mechanism = "SCRAM-SHA-512"
sasl_username = "monitor"
sasl_password_file = "secrets/sasl"
ssl_cafile = "authority.pem"
session_timeout_seconds = 20
stall_seconds = 45.5

[receiver]
listen = "[::]:8081"
max_body_bytes = 1024
trusted_proxies = ["10.0.0.0/8"]

[admin]
listen = "127.0.0.1:0"

[health]
down_after_seconds = 30
silent_after_seconds = 600.5
flapping_reconnects = 4
flapping_window_seconds = 300
stall_factor = 2.5
keep_ended_seconds = 120
keep_abnormal_seconds = 240
abandon_after_seconds = 3600

[links]
grafana_url = "https://grafana.example.com"
alertmanager_url = "https://alerts.example.com"
runbook_url = "https://runbooks.example.com/live"

[clock]
origin = 1000.0
speed = 60

[[sources]]
name = "metastudio-prod"
vendor = "metastudio"
public_url = "https://hooks.example.com/callbacks/metastudio-prod"
auth_type = "MSS_A_HEAD"
keys_file = "secrets/keys"
rtc_token_file = "secrets/rtc"
rtc_allow_origins = ["https://page.example.com"]
max_streams = 5
max_clock_skew_seconds = 10
allow_networks = ["192.0.2.0/24", "2001:db8::/32"]

[sources.api]
endpoint = "https://metastudio.cn-north-4.myhuaweicloud.com"
project_id = "project"
access_key = "access"
secret_key_file = "secrets/sk"

[[sources]]
name = "softsugar-prod"
vendor = "softsugar"
public_url = "https://hooks.example.com/callbacks/softsugar-prod"
keys = ["Abc123def"]
rtc_token = "a-token-of-many-characters"

[sources.fields]
session_id = "/data/id"
status = "/data/state"
code = "/data/error"
user_data = "/data/user"

[sources.api]
endpoint = "https://aigc.softsugar.com"
app_id = "app"
app_key_file = "secrets/app"
"""


def write(folder: Path, text: str, **secret_files: str) -> Path:
    """Write a configuration that only its owner may read, with secret files beside it."""
    folder.joinpath("secrets").mkdir(exist_ok=True)
    for name, content in secret_files.items():
        file = folder / "secrets" / name
        file.write_text(content)
        file.chmod(0o600)
    path = folder / "monitor.toml"
    path.write_text(text)
    path.chmod(0o600)
    return path


def write_every_key(folder: Path) -> Path:
    folder.joinpath("authority.pem").write_text("a certificate\n")
    return write(
        folder,
        EVERY_KEY,
        sasl="the sasl password\n",
        keys="Newer1key\n\n  Older1key  \n",
        rtc="the token of the rtc relay\n",
        sk="the secret key\n",
        app="the app key\n",
    )


def mistakes(path: Path, environment: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        load_settings(path, environment or {})
    return caught.value.problems


@pytest.mark.parametrize("case", sorted(path.stem for path in BAD.glob("*.toml")))
def test_a_configuration_that_cannot_work_is_refused_with_one_line_a_mistake(
    case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(BAD)

    actual = mistakes(Path(f"{case}.toml"))

    assert actual == Path(f"{case}.txt").read_text().splitlines()


def test_every_bad_configuration_has_its_expected_lines() -> None:
    assert {path.stem for path in BAD.glob("*.txt")} == {path.stem for path in BAD.glob("*.toml")}


def test_a_missing_file_is_named_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "monitor.toml"

    assert mistakes(path) == [f"{path}: the configuration file isn't there; name another with --config"]


def test_a_folder_in_the_place_of_the_file_is_named(tmp_path: Path) -> None:
    assert mistakes(tmp_path) == [f"{tmp_path}: the configuration file can't be read: Is a directory"]


def test_every_key_of_the_file_arrives_under_its_own_name(tmp_path: Path) -> None:
    settings = load_settings(write_every_key(tmp_path), {})

    written = tomllib.loads(EVERY_KEY)
    for section in ("admin", "health", "links", "clock"):
        assert getattr(settings, section).model_dump() == written[section]
    assert settings.receiver.model_dump() == written["receiver"] | {
        "trusted_proxies": (ipaddress.ip_network("10.0.0.0/8"),)
    }
    assert settings.log.model_dump() == written["log"] | {"path": tmp_path / "kept/events.db"}
    kafka = {key: value for key, value in written["kafka"].items() if key != "sasl_password_file"}
    assert settings.kafka.model_dump() == kafka | {
        "ssl_cafile": tmp_path / "authority.pem",
        "sasl_password": SecretStr("the sasl password"),
    }
    metastudio, softsugar = settings.sources
    assert metastudio.auth_type is AuthType.MSS_A_HEAD
    assert metastudio.rtc_token == SecretStr("the token of the rtc relay")
    assert metastudio.rtc_allow_origins == ("https://page.example.com",)
    assert metastudio.max_streams == 5
    assert metastudio.max_clock_skew_seconds == 10
    assert metastudio.allow_networks == (
        ipaddress.ip_network("192.0.2.0/24"),
        ipaddress.ip_network("2001:db8::/32"),
    )
    assert metastudio.api is not None
    assert metastudio.api.secret_key == SecretStr("the secret key")
    assert softsugar.vendor is Vendor.SOFTSUGAR
    assert softsugar.keys == (SecretStr("Abc123def"),)
    assert softsugar.fields.model_dump() == written["sources"][1]["fields"]
    assert softsugar.api is not None
    assert softsugar.api.app_key == SecretStr("the app key")
    assert settings.warnings == ()


def test_the_file_of_a_token_stays_known_since_its_token_is_renewed(tmp_path: Path) -> None:
    api = '[sources.api]\nendpoint = "https://metastudio.example.com"\nproject_id = "p"\n'
    path = write(tmp_path, METASTUDIO + api + 'token_file = "secrets/token"\n', token="of-today\n")

    [source] = load_settings(path, {}).sources
    assert source.api is not None
    assert (source.api.token, source.api.token_file) == (SecretStr("of-today"), tmp_path / "secrets/token")


def test_a_keys_file_holds_one_key_a_line_and_blank_lines_are_passed_over(tmp_path: Path) -> None:
    settings = load_settings(write_every_key(tmp_path), {})

    assert settings.sources[0].keys == (SecretStr("Newer1key"), SecretStr("Older1key"))


def test_an_editors_byte_order_mark_is_no_part_of_a_key(tmp_path: Path) -> None:
    path = write(tmp_path, SOFTSUGAR + 'keys_file = "secrets/keys"\n', keys="\ufeffAbc1\nOld1\n")

    assert load_settings(path, {}).sources[0].keys == (SecretStr("Abc1"), SecretStr("Old1"))


def test_an_editors_byte_order_mark_is_no_part_of_the_configuration(tmp_path: Path) -> None:
    path = write(tmp_path, "\ufeff" + SOFTSUGAR)

    assert load_settings(path, {}).sources[0].vendor == Vendor.SOFTSUGAR


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("*", "*"),
        ("https://page.example.com", "https://page.example.com"),
        ("HTTPS://Page.Example.com:443", "https://page.example.com"),
        ("http://page.example.com:80", "http://page.example.com"),
        ("http://page.example.com:443", "http://page.example.com:443"),
        ("https://[::1]:8443", "https://[::1]:8443"),
        ("https://bücher.example", "https://xn--bcher-kva.example"),
    ],
)
def test_an_origin_is_kept_as_a_browser_sends_it(written: str, sent: str) -> None:
    source = Source(
        name="one",
        vendor=Vendor.METASTUDIO,
        public_url="https://hooks.example.com/callbacks/one",
        rtc_allow_origins=(written,),
    )

    assert source.rtc_allow_origins == (sent,)


def test_an_ipv4_network_that_is_written_as_ipv6_is_the_one_that_clients_are_in() -> None:
    written = ["::ffff:10.0.0.0/104", "::ffff:0:0/96", "::/80", "192.0.2.0/24"]
    source = Source(
        name="one",
        vendor=Vendor.METASTUDIO,
        public_url="https://hooks.example.com/callbacks/one",
        allow_networks=written,
    )

    networks = [str(network) for network in source.allow_networks]
    assert networks == ["10.0.0.0/8", "0.0.0.0/0", "::/80", "192.0.2.0/24"]


def test_what_is_left_out_has_its_default(tmp_path: Path) -> None:
    settings = load_settings(write(tmp_path, SOFTSUGAR), {})

    assert settings.log.backend == "sqlite"
    assert settings.log.path == tmp_path / "var/monitor.db"
    assert settings.log.retention_hours == 168
    assert settings.kafka == Settings().kafka
    assert settings.kafka.bootstrap_servers == "127.0.0.1:9092"
    assert settings.kafka.topic_prefix == "livestream."
    assert (settings.kafka.partitions, settings.kafka.replication_factor) == (12, 3)
    assert settings.receiver.address == Address("127.0.0.1", 8080)
    assert settings.receiver.max_body_bytes == 65536
    assert settings.receiver.trusted_proxies == ()
    assert settings.admin.address == Address("127.0.0.1", 9108)
    assert settings.health == HealthSettings(
        down_after_seconds=60,
        silent_after_seconds=900,
        flapping_reconnects=3,
        flapping_window_seconds=600,
        stall_factor=3.0,
        keep_ended_seconds=900,
        keep_abnormal_seconds=14400,
        abandon_after_seconds=86400,
    )
    source = settings.sources[0]
    assert (source.max_streams, source.max_clock_skew_seconds) == (20000, 300)
    assert (source.keys, source.rtc_token, source.api) == ((), None, None)


def test_the_environment_lies_on_top_of_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, '[log]\nbackend = "sqlite"\nretention_hours = 24\n' + SOFTSUGAR)
    environment = {
        "MONITOR_LOG__BACKEND": "kafka",
        "MONITOR_KAFKA__PARTITIONS": "3",
        "MONITOR_HEALTH": '{"stall_factor": 4.5}',
        "monitor_receiver__listen": "0.0.0.0:80",
        "MONITOR_PORT_9108_TCP_ADDR": "10.0.0.1",
        "LOG__BACKEND": "neither",
    }

    settings = load_settings(path, environment)

    assert settings.log.backend == "kafka"
    assert settings.log.retention_hours == 24
    assert settings.kafka.partitions == 3
    assert settings.health.stall_factor == 4.5
    assert settings.receiver.listen == "0.0.0.0:80"


def test_the_sources_of_the_environment_replace_those_of_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, METASTUDIO, token="A-token-in-a-file\n")
    sources = [
        {
            "name": "other",
            "vendor": "softsugar",
            "public_url": "https://hooks.example.com/x",
            "rtc_token_file": "secrets/token",
        }
    ]

    settings = load_settings(path, {"MONITOR_SOURCES": json.dumps(sources)})

    assert [source.name for source in settings.sources] == ["other"]
    assert settings.sources[0].rtc_token == SecretStr("A-token-in-a-file")


def test_a_secret_file_may_be_named_by_the_environment(tmp_path: Path) -> None:
    path = write(tmp_path, SOFTSUGAR, sasl="password\n")

    settings = load_settings(path, {"MONITOR_KAFKA__SASL_PASSWORD_FILE": "secrets/sasl"})

    assert settings.kafka.sasl_password == SecretStr("password")


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        (
            "MONITOR_LGO__BACKEND",
            "kafka",
            "lgo.backend: MONITOR_LGO__BACKEND in the environment names no section; did you mean log?",
        ),
        ("MONITOR_LOG__BAKEND", "kafka", "log.bakend: is not a key of log; did you mean backend?"),
        ("MONITOR_LOG__BACKEND__MORE", "kafka", "log.backend: must be 'sqlite' or 'kafka'"),
        ("MONITOR_SOURCES", "[{", "sources: MONITOR_SOURCES in the environment isn't JSON"),
        ("MONITOR_SOURCES", "{}", "sources: must be a list; in TOML each source is headed [[sources]]"),
        (
            "MONITOR_SOURCES__0__NAME",
            "one",
            "sources: MONITOR_SOURCES__0__NAME is of one source; MONITOR_SOURCES takes all of them, as JSON",
        ),
        ("MONITOR_LOG", "[]", "log: must be a table"),
        (
            "MONITOR_RECEIVER__TRUSTED_PROXIES",
            "10.0.0.0/8",
            'receiver.trusted_proxies: must be a list, such as ["192.0.2.0/24"]',
        ),
        ("MONITOR_RECEIVER__TRUSTED_PROXIES", "5", "receiver.trusted_proxies: must be a list"),
        ("MONITOR_LOG__PATH", "", "log.path: must name a file"),
        ("MONITOR_KAFKA__PARTITIONS", "many", "kafka.partitions: must be a whole number"),
    ],
)
def test_a_mistake_in_the_environment_is_refused_as_one_in_the_file(
    name: str, value: str, expected: str, tmp_path: Path
) -> None:
    assert mistakes(write(tmp_path, SOFTSUGAR), {name: value}) == [expected]


@pytest.mark.parametrize("named_by", ["file", "environment"])
def test_proxies_are_a_list_wherever_they_are_named(named_by: str, tmp_path: Path) -> None:
    listed = '["10.0.0.0/8", "2001:db8::/32"]'
    text, environment = (
        (f"[receiver]\ntrusted_proxies = {listed}\n" + SOFTSUGAR, {})
        if named_by == "file"
        else (SOFTSUGAR, {"MONITOR_RECEIVER__TRUSTED_PROXIES": listed})
    )

    proxies = load_settings(write(tmp_path, text), environment).receiver.trusted_proxies

    assert proxies == (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("2001:db8::/32"))


@pytest.mark.parametrize("nested", ["file", "environment"])
def test_what_is_nested_too_deeply_is_refused_in_a_line(nested: str, tmp_path: Path) -> None:
    deep = "[" * 5000 + "]" * 5000
    text, environment = (
        (f"sources = {deep}", {}) if nested == "file" else (SOFTSUGAR, {"MONITOR_SOURCES": deep})
    )
    path = write(tmp_path, text)

    with pytest.raises(ConfigurationError) as refused:
        load_settings(path, environment)

    assert refused.value.problems == [
        f"{path}: nested too deeply, there or in what the environment adds to it"
    ]


UNUSED_KEYS = (
    "sources[0].auth_type: is NONE: anybody who knows the URL can post (the keys that are set are not used)"
)
AGAINST_THE_RULE = (
    "sources[0].keys[1]: SoftSugar wants upper case, lower case and digits in an AuthKey: "
    "is this the right one?"
)
ACCOUNT = """keys = ["Abc123def"]
[sources.api]
endpoint = "https://aigc.softsugar.com"
app_id = "app"
app_key = "key"
"""
NOT_ASCII = (
    "sources[0].rtc_token: holds a letter beyond ASCII: requests can carry tokens that are made of it, "
    "and not itself"
)
ACCOUNT_TWICE = (
    "sources[1].api: is the account of sources[0] already: a session that calls back to neither of them, "
    "and is registered with neither, is not found"
)
DOWN_TOO_LATE = (
    "health.down_after_seconds: MetaStudio ends a job after an outage of about 180 s: "
    "a stream would be gone before it counts as down"
)
GIVEN_UP_TOO_SOON = (
    "health.abandon_after_seconds: isn't longer than silent_after_seconds: "
    "a stream would be given up as lost before it counts as silent"
)
GONE_TOO_SOON = (
    "is shorter than 120 s: a stream's series may go before its last skipped paragraphs and missed callbacks "
    "are counted"
)

ADMITS_NOBODY = (
    "sources[0].allow_networks: refuses everybody: receiver.listen is reached from this machine alone, which "
    "is in none of them. Behind a proxy all connections are the proxy's: name it in receiver.trusted_proxies"
)
ELSEWHERE = (
    "sources[0].public_url: doesn't end in /callbacks/ and the source's name: unless a proxy changes the "
    "path, what is posted there comes to no source"
)
EVERYBODY = (
    "receiver.trusted_proxies[1]: is everybody: whoever connects may claim any address in X-Forwarded-For"
)
NETWORKS = SOFTSUGAR + 'keys = ["Abc123def"]\nallow_networks = ["192.0.2.0/24", "2001:db8::/32"]\n'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (METASTUDIO, "sources[0].auth_type: is NONE: anybody who knows the URL can post"),
        (
            METASTUDIO + 'auth_type = "NONE"\nkeys = ["Abc123def"]\n',
            UNUSED_KEYS,
        ),
        (SOFTSUGAR, "sources[0].keys: none is set: anybody who knows the URL can post"),
        (
            SOFTSUGAR + 'keys = ["Abc123def", "lower1only"]\n',
            AGAINST_THE_RULE,
        ),
        (
            SOFTSUGAR + 'keys = ["Abc123def"]\nauth_type = "MSS_A"\n',
            "sources[0].auth_type: has no effect: SoftSugar signs whenever a key is set",
        ),
        (
            METASTUDIO.replace("https:", "http:") + 'auth_type = "MSS_A"\nkeys = ["Abc123def"]\n',
            "sources[0].public_url: begins with http://, but MetaStudio posts to https:// only",
        ),
        (
            SOFTSUGAR.replace('/softsugar-prod"', '/softsugar-prod/"') + 'keys = ["Abc123def"]\n',
            ELSEWHERE,
        ),
        (
            METASTUDIO + 'auth_type = "MSS_A"\nkeys = ["Abc123def"]\nfields = {status = "/status"}\n',
            "sources[0].fields: has no effect: only SoftSugar's callbacks are read by it",
        ),
        (
            SOFTSUGAR
            + 'keys = ["Abc123def"]\n'
            + SOFTSUGAR.replace('"softsugar-prod"', '"softsugar-test"')
            + 'keys = ["Abc123def"]\n',
            "sources[1].public_url: is that of sources[0] already: only one of the two is posted to",
        ),
        (
            SOFTSUGAR
            + ACCOUNT
            + SOFTSUGAR.replace("softsugar-prod", "softsugar-test")
            + ACCOUNT.replace("softsugar.com", "softsugar.com/"),
            ACCOUNT_TWICE,
        ),
        (
            SOFTSUGAR + 'keys = ["Abc123def\\n"]\n',
            "sources[0].keys[0]: has a space or a line's end around it: is that meant?",
        ),
        (
            SOFTSUGAR + 'keys = ["Abc123def"]\nrtc_token = " sixteen letters."\n',
            "sources[0].rtc_token: has a space or a line's end around it: is that meant?",
        ),
        (
            SOFTSUGAR + 'keys = ["Abc123def"]\nrtc_token = "sechzehn Zeichen: ä"\n',
            NOT_ASCII,
        ),
        (
            SOFTSUGAR + 'keys = ["Abc123def"]\nrtc_token = "fifteen letters"\n',
            "sources[0].rtc_token: is shorter than 16 characters: it can be guessed",
        ),
        (
            "[health]\ndown_after_seconds = 180\n"
            + METASTUDIO
            + 'auth_type = "MSS_A"\nkeys = ["Abc123def"]\n',
            DOWN_TOO_LATE,
        ),
        (
            "[health]\nabandon_after_seconds = 900\n" + SOFTSUGAR + 'keys = ["Abc123def"]\n',
            GIVEN_UP_TOO_SOON,
        ),
        (
            "[health]\nkeep_ended_seconds = 119\n" + SOFTSUGAR + 'keys = ["Abc123def"]\n',
            f"health.keep_ended_seconds: {GONE_TOO_SOON}",
        ),
        (
            "[health]\nkeep_abnormal_seconds = 119\n" + SOFTSUGAR + 'keys = ["Abc123def"]\n',
            f"health.keep_abnormal_seconds: {GONE_TOO_SOON}",
        ),
        (
            "[health]\nflapping_reconnects = 33\n" + SOFTSUGAR + 'keys = ["Abc123def"]\n',
            "health.flapping_reconnects: is more than the 32 that are remembered: no stream ever flaps",
        ),
        (
            '[receiver]\ntrusted_proxies = ["10.0.0.0/8", "::/0"]\n' + SOFTSUGAR + 'keys = ["Abc123def"]\n',
            EVERYBODY,
        ),
        (NETWORKS, ADMITS_NOBODY),
        ('[receiver]\nlisten = "[::1]:8080"\n' + NETWORKS, ADMITS_NOBODY),
        ('[receiver]\nlisten = "localhost:8080"\n' + NETWORKS, ADMITS_NOBODY),
    ],
)
def test_what_can_work_but_should_not_is_a_warning(text: str, expected: str, tmp_path: Path) -> None:
    assert load_settings(write(tmp_path, text), {}).warnings == (expected,)


@pytest.mark.parametrize(
    "text",
    [
        # Only MetaStudio gives a stream up after three minutes.
        "[health]\ndown_after_seconds = 180\n" + SOFTSUGAR + 'keys = ["Abc123def"]\n',
        SOFTSUGAR + 'keys = ["Abc123def"]\nrtc_token = "sixteen letters."\n',
        '[receiver]\nlisten = "127.0.0.1:8080"\n[admin]\nlisten = "127.0.0.2:8080"\n'
        + SOFTSUGAR
        + 'keys = ["Abc123def"]\n',
        NETWORKS.replace("192.0.2.0/24", "127.0.0.1/32"),
        '[receiver]\ntrusted_proxies = ["127.0.0.0/8"]\n' + NETWORKS,
        '[receiver]\nlisten = "0.0.0.0:8080"\n' + NETWORKS,
        '[receiver]\nlisten = "hooks.example.com:8080"\n' + NETWORKS,
    ],
    ids=["down", "token", "listen", "a network of this machine", "a proxy", "networks", "networks, by name"],
)
def test_what_works_as_it_should_is_no_warning(text: str, tmp_path: Path) -> None:
    assert load_settings(write(tmp_path, text), {}).warnings == ()


def test_a_secret_that_every_user_may_read_is_a_warning(tmp_path: Path) -> None:
    path = write(
        tmp_path, SOFTSUGAR + 'keys_file = "secrets/keys"\nrtc_token = "a-long-enough-token"\n', keys="Abc1\n"
    )
    path.chmod(0o644)
    tmp_path.joinpath("secrets/keys").chmod(0o644)

    assert load_settings(path, {}).warnings == (
        f"{path}: holds secrets, and every user of this machine may read it (chmod o-r)",
        "sources[0].keys_file: every user of this machine may read the file (chmod o-r)",
    )


def test_a_configuration_without_secrets_may_be_read_by_everybody(tmp_path: Path) -> None:
    path = write(tmp_path, SOFTSUGAR + 'keys_file = "secrets/keys"\n', keys="Abc1\n")
    path.chmod(0o644)

    assert load_settings(path, {}).warnings == ()


def places(value: Any, at: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield the way to every value of a parsed configuration, tables and lists included."""
    if at:
        yield at
    entries = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, below in entries:
        yield from places(below, (*at, key))


def planted(values: Any, at: tuple[str | int, ...], secret: object) -> Any:
    """Return a copy of a parsed configuration with the value at a place replaced."""
    if not at:
        return secret
    copy = values.copy()
    copy[at[0]] = planted(values[at[0]], at[1:], secret)
    return copy


SECRET = "Pla1nted-s3cret"


@pytest.mark.parametrize(
    "shape", [SECRET, SECRET * 3, [SECRET], {"key": SECRET}], ids=["text", "long", "list", "table"]
)
def test_a_secret_in_any_place_is_in_no_message(shape: object, tmp_path: Path) -> None:
    path = write_every_key(tmp_path)
    everything = tomllib.loads(EVERY_KEY)
    refused = 0
    for place in places(everything):
        values = planted(everything, place, shape)
        environment = {f"MONITOR_{section}".upper(): json.dumps(value) for section, value in values.items()}
        try:
            said = "\n".join(load_settings(path, environment).warnings)
        except ConfigurationError as error:
            said = str(error)
            refused += 1
        assert SECRET not in said, place
    assert refused > 30


def test_a_secret_is_not_in_the_settings_representation(tmp_path: Path) -> None:
    text = repr(load_settings(write_every_key(tmp_path), {}))

    for secret in (
        "Newer1key",
        "Abc123def",
        "the token",
        "a-token",
        "sasl password",
        "secret key",
        "app key",
    ):
        assert secret not in text


def test_a_secret_on_a_line_that_is_not_toml_is_in_no_message(tmp_path: Path) -> None:
    (problem,) = mistakes(write(tmp_path, f"[log]\npath = {SECRET}\n"))

    assert SECRET not in problem
    assert "(at line 2, column 8)" in problem


def test_a_source_can_be_built_from_three_values_and_not_be_changed() -> None:
    source = Source(name="one", vendor=Vendor.SOFTSUGAR, public_url="https://hooks.example.com/x")

    with pytest.raises(ValidationError, match="frozen"):
        setattr(source, "name", "two")  # noqa: B010 - written plainly, the type checker refuses it first


def test_a_refused_value_is_not_in_the_error_of_a_model() -> None:
    with pytest.raises(ValidationError) as caught:
        Source(name=f"{SECRET}!", vendor=Vendor.SOFTSUGAR, public_url=SECRET, keys=(SecretStr(SECRET * 3),))

    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:8080", Address("127.0.0.1", 8080)),
        ("localhost:0", Address("localhost", 0)),
        ("[::1]:65535", Address("::1", 65535)),
    ],
)
def test_an_address_is_host_and_port(text: str, expected: Address) -> None:
    assert parse_address(text) == expected
    assert str(expected) == text


@pytest.mark.parametrize(
    ("address", "url"),
    [
        (Address("127.0.0.1", 8080), "http://127.0.0.1:8080"),
        (Address("::1", 8080), "http://[::1]:8080"),
        (Address("0.0.0.0", 80), "http://127.0.0.1:80"),  # noqa: S104 - not bound
        (Address("::", 80), "http://[::1]:80"),
    ],
)
def test_an_address_is_reached_on_this_machine_at_its_url(address: Address, url: str) -> None:
    assert address.url == url


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":8080",
        "host",
        "host:",
        "::1:80",
        "[::1]",
        "[host]:80",
        "host:65536",
        "host:-1",
        "a..b:1",
        "a" * 64 + ":1",
    ],
)
def test_what_is_not_host_and_port_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be host:port"):
        parse_address(text)


def test_the_clock_is_the_machines_unless_its_speed_differs() -> None:
    assert isinstance(build_clock(Settings()), SystemClock)
    rehearsal = Settings(clock=ClockSettings(origin=1000.0, speed=60.0))
    assert build_clock(rehearsal) == RehearsalClock(1000.0, 60.0)
