"""The service against a broker that asks who comes, over TLS, and what he may do."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from monitor.check import Check, check_all
from monitor.config import AdminSettings, KafkaSettings, LogSettings, ReceiverSettings, Settings
from tests.end_to_end.running import Service, http, wait_for
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


def checked(kafka: KafkaSettings, folder: Path) -> list[Check]:
    """Return what is said of Kafka."""
    settings = Settings(
        kafka=kafka,
        log=LogSettings(backend="kafka", path=folder / "spool.db"),
        receiver=ReceiverSettings(listen="127.0.0.1:0"),
        admin=AdminSettings(listen="127.0.0.1:0"),
    )
    return [one for one in check_all(settings) if one.name in ("kafka topics", "kafka rights")]


def test_who_has_no_rights_is_told_each_that_is_missing(secured: SecuredKafka, tmp_path: Path) -> None:
    told = checked(secured.settings(user="stranger", mechanism="PLAIN"), tmp_path)

    assert sorted(told) == [
        Check("kafka rights", False, "workers can't join the group monitor: Read of it is not granted"),
        Check(
            "kafka rights",
            False,
            "workers can't keep states: Write of transactional ids that begin with monitor- is not granted",
        ),
        *(
            Check("kafka topics", False, f"the topic livestream.{name} can't be made: Authorization failed.")
            for name in ("dead-letters", "events", "health")
        ),
    ]


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-512"])
def test_a_wrong_password_is_told_once_as_such(mechanism: str, secured: SecuredKafka, tmp_path: Path) -> None:
    user = "stranger" if mechanism == "PLAIN" else "monitor"

    [told] = checked(secured.settings(user=user, mechanism=mechanism, password="of-nobody"), tmp_path)

    assert (told.name, told.ok) == ("kafka topics", False)
    assert "SaslAuthenticationFailed" in told.detail
    assert "of-nobody" not in told.detail


def test_a_broker_that_another_authority_has_signed_is_refused(secured: SecuredKafka, tmp_path: Path) -> None:
    kafka = secured.settings(mechanism="SCRAM-SHA-512").model_copy(update={"ssl_cafile": None})

    [told] = checked(kafka, tmp_path)

    assert (told.name, told.ok) == ("kafka topics", False)
    assert "CERTIFICATE_VERIFY_FAILED" in told.detail


def test_the_rights_that_operators_are_told_to_give_are_all_that_the_service_needs(
    secured: SecuredKafka, tmp_path: Path
) -> None:
    secured.give_rights()
    kafka = secured.settings(mechanism="SCRAM-SHA-512")
    password = tmp_path / "password"
    password.write_text(PASSWORD)
    password.chmod(0o600)
    service = Service(
        tmp_path,
        more=(
            f'[kafka]\nbootstrap_servers = "{kafka.bootstrap_servers}"\npartitions = {kafka.partitions}\n'
            'replication_factor = 1\nsecurity_protocol = "SASL_SSL"\nsasl_mechanism = "SCRAM-SHA-512"\n'
            f'sasl_username = "monitor"\nsasl_password_file = "{password}"\n'
            f'ssl_cafile = "{kafka.ssl_cafile}"\n'
        ),
        log='backend = "kafka"',
    )
    service.start()
    try:
        answer = http.post(f"{service.callbacks}/callbacks/metastudio-open", content=REPLY)
        assert answer.status_code == 200
        wait_for(lambda: service.total("livestream_replies_finished_total") == 1, what="its event, folded")
        shown = f"{service.operators}/api/streams/metastudio-open/job-1"
        # The page reads what the worker has kept; the events it reads from their topic.
        wait_for(lambda: http.get(shown).status_code == 200, what="its stream on the page")
        assert len(http.get(f"{shown}/events").json()["events"]) == 1
        assert all(one.ok for one in checked(kafka, tmp_path))
    finally:
        service.stop()

    lines = (tmp_path / "serve.log").read_text()
    assert "uthorization" not in lines
    assert PASSWORD not in lines
