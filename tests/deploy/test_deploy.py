"""The deployments that come with the service: what they name is there, and the service accepts it."""

import configparser
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import yaml

from alerts.build import RULES
from alerts.thresholds import read as read_thresholds
from monitor.config import Role, load_settings
from monitor.http_server import SHUTDOWN_SECONDS
from tests.kafka_broker import ROOT

DEPLOY = ROOT / "deploy"
SYSTEMD = DEPLOY / "systemd"
KUBERNETES = sorted((DEPLOY / "kubernetes").glob("*.yaml"))


def compose() -> Any:
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text())


def documents() -> list[Any]:
    return [one for path in KUBERNETES for one in yaml.safe_load_all(path.read_text())]


def pods() -> dict[str, Any]:
    """Return the pod specifications of Kubernetes by their role."""
    return {
        one["spec"]["template"]["metadata"]["labels"]["role"]: one["spec"]["template"]["spec"]
        for one in documents()
        if one["kind"] in ("StatefulSet", "Deployment")
    }


def seconds(length: str) -> int:
    """Return a length of time as compose files have it: 60s."""
    assert length.endswith("s")
    return int(length[:-1])


def role_of(command: list[str]) -> Role:
    assert command[0] == "serve"
    return Role(command[command.index("--role") + 1])


def test_the_configuration_of_the_compositions_is_accepted(tmp_path: Path) -> None:
    text = (DEPLOY / "compose.toml").read_text()
    for name in compose()["secrets"]:
        secret = tmp_path / name
        secret.write_text("aB3" + "x" * 20)
        secret.chmod(0o600)
        assert f'"/run/secrets/{name}"' in text
        text = text.replace(f"/run/secrets/{name}", str(secret))
    file = tmp_path / "monitor.toml"
    file.write_text(text)

    settings = load_settings(file, {})

    assert settings.log.backend == "kafka"
    servers = settings.kafka.bootstrap_servers.split(",")
    assert {server.split(":")[0] for server in servers} <= set(compose()["services"])
    assert settings.kafka.replication_factor == len(servers)


def test_a_composition_runs_every_role_on_ports_that_the_configuration_has() -> None:
    services = compose()["services"]

    assert {role_of(services[name]["command"]) for name in ("receiver", "worker", "web")} == {
        Role.RECEIVER,
        Role.WORKER,
        Role.WEB,
    }
    text = (DEPLOY / "compose.toml").read_text()
    for port in ("8080", "9108"):
        assert f'"0.0.0.0:{port}"' in text
    prometheus = yaml.safe_load(compose()["configs"]["prometheus"]["content"])
    [found] = prometheus["scrape_configs"][0]["dns_sd_configs"]
    assert set(found["names"]) == {"receiver", "worker", "web"}
    assert found["port"] == 9108


def test_every_broker_of_a_composition_votes() -> None:
    services = compose()["services"]
    brokers = {name: one["environment"] for name, one in services.items() if name.startswith("kafka")}

    voters = {f"{one['KAFKA_NODE_ID']}@{name}:9093" for name, one in brokers.items()}
    for name, one in brokers.items():
        assert set(one["KAFKA_CONTROLLER_QUORUM_VOTERS"].split(",")) == voters
        assert one["KAFKA_ADVERTISED_LISTENERS"] == f"PLAINTEXT://{name}:9092"


def test_a_composition_faces_this_machine_alone_and_runs_images_of_one_version() -> None:
    for name, service in compose()["services"].items():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ())), name
        assert ":" in service["image"] or "build" in service, name
        assert service["mem_limit"], name


def test_a_composition_leaves_its_services_time_to_stop() -> None:
    # Docker's own patience is 10 seconds, which requests in flight alone may take.
    for name in ("receiver", "worker", "web"):
        assert seconds(compose()["services"][name]["stop_grace_period"]) > 2 * SHUTDOWN_SECONDS


def test_the_prometheus_of_a_composition_has_the_rules_and_the_name_that_they_ask_for() -> None:
    prometheus = yaml.safe_load(compose()["configs"]["prometheus"]["content"])
    [mounted] = [one for one in compose()["services"]["prometheus"]["volumes"] if one.endswith(":ro")]
    ours, theirs, _ = mounted.split(":")

    assert (DEPLOY / ours).resolve() == RULES
    assert prometheus["rule_files"] == [f"{theirs}/*.yaml"]
    [job] = prometheus["scrape_configs"]
    assert job["job_name"] == read_thresholds().view.job
    assert job["honor_labels"] is True


def test_kubernetes_runs_the_role_that_its_labels_say_and_keeps_its_spool() -> None:
    assert set(pods()) == {"receiver", "worker", "web"}
    for role, pod in pods().items():
        [container] = pod["containers"]
        assert role_of(container["args"]) == Role(role)
        mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
        assert mounts["state"] == "/var/lib/monitor"
        assert {volume["name"] for volume in pod["volumes"]} | {"state"} == set(mounts)


def test_kubernetes_services_reach_pods_and_ports_that_are_there() -> None:
    services = [one for one in documents() if one["kind"] == "Service"]

    assert services
    for service in services:
        pod = pods()[service["spec"]["selector"]["role"]]
        ports = {port["containerPort"] for port in pod["containers"][0]["ports"]}
        assert {port["port"] for port in service["spec"]["ports"]} <= ports


def test_no_token_is_mounted_into_the_secrets_of_a_pod() -> None:
    # A volume of secrets is read-only: the cluster couldn't make a folder for its own in it.
    for pod in pods().values():
        places = {mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}
        assert "/run/secrets" in places
        assert pod["automountServiceAccountToken"] is False


def test_kubernetes_leaves_a_pod_time_to_stop_and_sends_it_no_callback_meanwhile() -> None:
    for role, pod in pods().items():
        [container] = pod["containers"]
        command = container.get("lifecycle", {"preStop": {"exec": {"command": ["sleep", "0"]}}})
        waits = int(command["preStop"]["exec"]["command"][1])
        assert pod["terminationGracePeriodSeconds"] > waits + 2 * SHUTDOWN_SECONDS
        assert waits > 0 or role == "worker"


def test_every_stateful_set_has_its_service() -> None:
    services = {one["metadata"]["name"] for one in documents() if one["kind"] == "Service"}
    sets = [one for one in documents() if one["kind"] == "StatefulSet"]

    assert sets
    assert {one["spec"]["serviceName"] for one in sets} <= services


def copied() -> list[str]:
    """Return what the image takes from this repository."""
    lines = (DEPLOY / "Dockerfile").read_text().splitlines()
    return [
        name.rstrip("/")
        for line in lines
        if line.startswith("COPY ") and "--from" not in line
        for name in shlex.split(line)[1:-1]
    ]


def test_the_image_copies_what_is_there() -> None:
    assert "pyproject.toml" in copied()
    assert [name for name in copied() if not (ROOT / name).exists()] == []


def test_a_build_sees_what_it_copies_and_no_key() -> None:
    rules = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    let_in = {rule[1:] for rule in rules if rule.startswith("!")}

    assert rules[1] == "*"
    assert let_in == {name.partition("/")[0] for name in copied()}


def test_the_image_holds_no_build_backend() -> None:
    steps = (DEPLOY / "Dockerfile").read_text().replace("\\\n", "").splitlines()
    installed = [
        part for step in steps for part in step.split("&&") if "/opt/monitor/bin/pip install" in part
    ]

    assert any("requirements/runtime.txt" in part for part in installed)
    assert not any("requirements/build.txt" in part for part in installed)


def unit() -> dict[str, dict[str, str]]:
    """Return the settings of the unit of systemd by their section; none of ours stands twice in one."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # systemd's names have capitals
    parser.read(SYSTEMD / "livestream-monitor.service")
    return {name: dict(parser[name]) for name in parser.sections()}


def test_the_unit_serves_and_tries_again_for_as_long_as_it_fails() -> None:
    service = unit()["Service"]

    assert service["ExecStart"].endswith("/bin/monitor serve --config /etc/livestream-monitor/monitor.toml")
    assert service["Restart"] == "always"
    # Without it systemd gives up for good after five starts within ten seconds.
    assert unit()["Unit"]["StartLimitIntervalSec"] == "0"


def test_the_unit_starts_once_the_clock_is_right() -> None:
    assert "time-sync.target" in unit()["Unit"]["After"].split()


def test_the_unit_runs_as_the_user_that_its_readme_gives_the_keys_to() -> None:
    service, told = unit()["Service"], (SYSTEMD / "README.md").read_text()

    # A user that systemd makes up anew at each start could read no file that is for it alone.
    assert "DynamicUser" not in service
    assert f"nologin {service['User']}\n" in told
    assert f"-m 640 -g {service['User']} /dev/stdin /etc/livestream-monitor/secrets/" in told
    assert f'path = "/var/lib/{service["StateDirectory"]}/monitor.db"' in told


def test_the_unit_s_readme_makes_the_log_s_folder_before_it_has_it_checked() -> None:
    service, told = unit()["Service"], (SYSTEMD / "README.md").read_text()
    user, mode, name = service["User"], service["StateDirectoryMode"], service["StateDirectory"]

    # systemd makes it at the first start; the check is before that, and its user can't make it.
    made = told.index(f"# install -d -m {mode.removeprefix('0')} -o {user} -g {user} /var/lib/{name}\n")
    assert made < told.index("monitor check")


def test_the_unit_leaves_time_to_stop() -> None:
    assert int(unit()["Service"]["TimeoutStopSec"]) > 2 * SHUTDOWN_SECONDS


def test_each_package_that_a_deployment_installs_has_its_reason_and_no_other_has_one() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    text = (ROOT / "docs" / "decisions" / "0001-runtime-dependencies.md").read_text()
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| ")]
    given = {name.strip() for row in rows if row.strip() != "package" for name in row.split(",")}

    assert given == {re.split(r"[\[<>=]", one)[0] for one in declared}
