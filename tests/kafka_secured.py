"""A real broker that lets in who has a password, over TLS, and lets him do what he was given."""

import re
import subprocess
from pathlib import Path

from pydantic import SecretStr

from monitor.config import KafkaSettings
from tests.kafka_broker import ROOT, SCRIPT, Brokers
from tests.ports import free_port

README = ROOT / "deploy" / "kafka" / "README.md"

PASSWORD = "of-tests"

# Clients of tests come in by a door of their own; by the other one, operators give rights. PLAIN users are
# in the broker's configuration, those of SCRAM in the cluster.
_PROPERTIES = """
listeners=PLAINTEXT://127.0.0.1:{{port}},CONTROLLER://127.0.0.1:{{controller}},CLIENTS://127.0.0.1:{clients}
advertised.listeners=\
PLAINTEXT://127.0.0.1:{{port}},CONTROLLER://127.0.0.1:{{controller}},CLIENTS://127.0.0.1:{clients}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,CLIENTS:SASL_SSL
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512
listener.name.clients.plain.sasl.jaas.config=\
org.apache.kafka.common.security.plain.PlainLoginModule required user_stranger="{password}";
listener.name.clients.scram-sha-512.sasl.jaas.config=\
org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.clients.ssl.keystore.location={keystore}
listener.name.clients.ssl.keystore.password={password}
listener.name.clients.ssl.keystore.type=PKCS12
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
"""


class SecuredKafka:
    """One broker with the users `monitor` (SCRAM-SHA-512, without any rights yet) and `stranger` (PLAIN).

    Args:
        folder: where its folder and its certificate go.
    """

    def __init__(self, folder: Path) -> None:
        self.authority = folder / "authority.pem"
        self._folder = folder
        self._clients = free_port()
        properties = _PROPERTIES.format(
            clients=self._clients, keystore=folder / "broker.p12", password=PASSWORD
        )
        self._brokers = Brokers(folder, 1, properties)

    def start(self) -> None:
        """Start it, with a certificate and a user."""
        self._make_certificate()
        self._brokers.start()
        self._by_operators(
            *("kafka.admin.ConfigCommand", "--bootstrap-server", self._brokers.addresses, "--alter"),
            *("--add-config", f"SCRAM-SHA-512=[password={PASSWORD}]"),
            *("--entity-type", "users", "--entity-name", "monitor"),
        )

    def stop(self) -> None:
        """End it."""
        self._brokers.stop()

    def give_rights(self) -> None:
        """Run the commands by which operators are told to give `monitor` its rights."""
        [block] = re.findall(r"^```sh\n(.*?)^```$", README.read_text(), re.DOTALL | re.MULTILINE)
        commands = block.replace("kafka-1:9092", self._brokers.addresses)
        tool = f'kafka-acls.sh() {{ "{SCRIPT}" tool org.apache.kafka.tools.AclCommand "$@"; }}'
        subprocess.run(["bash", "-euc", f"{tool}\n{commands}"], check=True, capture_output=True)

    def settings(self, *, user: str = "monitor", mechanism: str, password: str = PASSWORD) -> KafkaSettings:
        """Return settings with the names that are the defaults."""
        return KafkaSettings(
            bootstrap_servers=f"127.0.0.1:{self._clients}",
            replication_factor=1,
            partitions=2,
            security_protocol="SASL_SSL",
            sasl_mechanism=mechanism,
            sasl_username=user,
            sasl_password=SecretStr(password),
            ssl_cafile=self.authority,
        )

    def _make_certificate(self) -> None:
        """Make the broker's key, and a certificate by which clients know it: its own authority."""
        store = ["-keystore", str(self._folder / "broker.p12"), "-storepass", PASSWORD, "-alias", "broker"]
        made = ["-genkeypair", "-keyalg", "EC", "-groupname", "secp256r1", "-dname", "CN=broker"]
        for extension in ("SAN=IP:127.0.0.1", "BC=ca:true", "KU=digitalSignature,keyCertSign"):
            made += ["-ext", extension]
        # It brings Java where that is missing, and keytool with it.
        subprocess.run([SCRIPT, "fetch"], check=True)
        for arguments in (made, ["-exportcert", "-rfc", "-file", str(self.authority)]):
            subprocess.run(["keytool", *arguments, *store], check=True, capture_output=True)

    def _by_operators(self, *command: str) -> None:
        subprocess.run([SCRIPT, "tool", *command], check=True, capture_output=True)
