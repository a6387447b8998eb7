import logging
import ssl
from pathlib import Path

import pytest
from aiokafka.errors import KafkaConnectionError
from pydantic import SecretStr

from monitor.config import KafkaSettings
from monitor.errors import ConfigurationError
from monitor.log import kafka_client


def test_plain_text_needs_addresses_alone() -> None:
    options = kafka_client.options(KafkaSettings(bootstrap_servers="one:9092, two:9092"))

    assert options["bootstrap_servers"] == ["one:9092", "two:9092"]
    assert options["security_protocol"] == "PLAINTEXT"
    assert not any(name.startswith(("sasl", "ssl")) for name in options)


def test_name_and_password_reach_the_client() -> None:
    options = kafka_client.options(
        KafkaSettings(
            security_protocol="SASL_PLAINTEXT",
            sasl_mechanism="SCRAM-SHA-512",
            sasl_username="monitor",
            sasl_password=SecretStr("of tests"),
        )
    )

    assert options["security_protocol"] == "SASL_PLAINTEXT"
    assert options["sasl_mechanism"] == "SCRAM-SHA-512"
    assert options["sasl_plain_username"] == "monitor"
    assert options["sasl_plain_password"] == "of tests"
    assert "ssl_context" not in options


def test_tls_checks_the_brokers_against_the_machines_authorities() -> None:
    context = kafka_client.options(KafkaSettings(security_protocol="SSL"))["ssl_context"]

    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


def test_a_file_without_certificates_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "authority.pem"
    file.write_text("nothing")

    with pytest.raises(ConfigurationError, match=r"kafka\.ssl_cafile: .* holds no certificates"):
        kafka_client.options(KafkaSettings(security_protocol="SASL_SSL", ssl_cafile=file))


async def test_a_broker_that_takes_connections_and_says_nothing_is_told_as_one() -> None:
    @kafka_client.named_refusals()
    def connect() -> None:
        aiokafkas_log = logging.getLogger("aiokafka")
        aiokafkas_log.error('Unable connect to "%s:%s": %s', "one", 9092, TimeoutError())
        aiokafkas_log.error("Unable connect to node with id %s: %s", 2, OSError("refused"))
        aiokafkas_log.error("Broker is 100% away")
        raise KafkaConnectionError("no broker")

    with pytest.raises(KafkaConnectionError) as refused:
        connect()

    assert str(refused.value) == (
        'KafkaConnectionError: Unable connect to "one:9092": TimeoutError; '
        "Unable connect to node with id 2: refused; Broker is 100% away"
    )
