"""The service against a broker that asks who comes, over TLS, and what he may do."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from monitor.config import KafkaSettings
from tests.end_to_end.running import MONITOR, Service, http, wait_for
from tests.kafka_secured import PASSWORD, SecuredKafka

pytestmark = pytest.mark.xdist_group("secured kafka")

REPLY = b'{"event_type":"REPLY_COMMAND_FINISH","message":"{\\"job_id\\":\\"job-1\\",\\"reply_id\\":\\"1\\"}"}'


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredKafka]:
    """Return a broker; in each test users have the rights that an earlier one gave."""
    broker = SecuredKafka(tmp_path_factory.mktemp("secured"))
    try:
        broker.start()
        yield broker
    finally:
        broker.stop()


def service_on(kafka: KafkaSettings, folder: Path) -> Service:
    """Return a service with a configuration of its own, with the password in a file."""
    assert kafka.sasl_password is not None
    password = folder / "password"
    password.write_text(kafka.sasl_password.get_secret_value())
    password.chmod(0o600)
    authority = f'ssl_cafile = "{kafka.ssl_cafile}"\n' if kafka.ssl_cafile else ""
    return Service(
        folder,
        more=(
            f'[kafka]\nbootstrap_servers = "{kafka.bootstrap_servers}"\npartitions = {kafka.partitions}\n'
            'replication_factor = 1\nsecurity_protocol = "SASL_SSL"\n'
            f'sasl_mechanism = "{kafka.sasl_mechanism}"\nsasl_username = "{kafka.sasl_username}"\n'
            f'sasl_password_file = "{password}"\n{authority}'
        ),
        log='backend = "kafka"',
    )


def checked(service: Service) -> list[list[str]]:
    """Return what `monitor check` says of Kafka: of each line whether it is well, of what it is, and what.

    In a process of its own: asyncio lets go of TLS connections only when they are collected.
    """
    service.write_config()
    ran = subprocess.run(
        [*MONITOR, "check", "--config", service.config], capture_output=True, text=True, check=False
    )
    assert "Traceback" not in ran.stderr
    lines = [line.split("\t") for line in ran.stdout.splitlines()]
    told = [line for line in lines if line[1] in ("kafka topics", "kafka rights")]
    assert ran.returncode == (0 if all(line[0] == "ok" for line in told) else 1)
    return told


def test_who_has_no_rights_is_told_each_that_is_missing(secured: SecuredKafka, tmp_path: Path) -> None:
    kafka = secured.settings(user="stranger", mechanism="PLAIN")

    missing = "workers can't keep states: Write of transactional ids that begin with monitor- is not granted"
    assert sorted(checked(service_on(kafka, tmp_path))) == [
        ["error", "kafka rights", "workers can't join the group monitor: Read of it is not granted"],
        ["error", "kafka rights", missing],
        *(
            ["error", "kafka topics", f"the topic livestream.{name} can't be made: Authorization failed."]
            for name in ("dead-letters", "events", "health")
        ),
    ]


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-512"])
def test_a_wrong_password_is_told_once_as_such(mechanism: str, secured: SecuredKafka, tmp_path: Path) -> None:
    user = "stranger" if mechanism == "PLAIN" else "monitor"

    kafka = secured.settings(user=user, mechanism=mechanism, password="of-nobody")

    [[ok, name, detail]] = checked(service_on(kafka, tmp_path))

    assert (ok, name) == ("error", "kafka topics")
    assert "SaslAuthenticationFailed" in detail
    assert "of-nobody" not in detail


def test_a_broker_that_another_authority_has_signed_is_refused(secured: SecuredKafka, tmp_path: Path) -> None:
    kafka = secured.settings(mechanism="SCRAM-SHA-512").model_copy(update={"ssl_cafile": None})

    [[ok, name, detail]] = checked(service_on(kafka, tmp_path))

    assert (ok, name) == ("error", "kafka topics")
    assert "CERTIFICATE_VERIFY_FAILED" in detail


def test_the_rights_that_operators_are_told_to_give_are_all_that_the_service_needs(
    secured: SecuredKafka, tmp_path: Path
) -> None:
    secured.give_rights()
    kafka = secured.settings(mechanism="SCRAM-SHA-512")
    service = service_on(kafka, tmp_path)
    service.start()
    try:
        answer = http.post(f"{service.callbacks}/callbacks/metastudio-open", content=REPLY)
        assert answer.status_code == 200
        wait_for(lambda: service.total("livestream_replies_finished_total") == 1, what="its event, folded")
        shown = f"{service.operators}/api/streams/metastudio-open/job-1"
        # The page reads what the worker has kept; the events it reads from their topic.
        wait_for(lambda: http.get(shown).status_code == 200, what="its stream on the page")
        assert len(http.get(f"{shown}/events").json()["events"]) == 1
        assert [ok for ok, *_ in checked(service)] == ["ok", "ok"]
    finally:
        service.stop()

    lines = (tmp_path / "serve.log").read_text()
    assert "uthorization" not in lines
    assert PASSWORD not in lines
