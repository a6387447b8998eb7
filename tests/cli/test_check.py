import json
import socket
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Literal

import pytest

from monitor.check import Check, check_all
from monitor.config import AdminSettings, KafkaSettings, LogSettings, ReceiverSettings, Settings
from monitor.log.lock import hold
from monitor.log.sqlite_file import Kind, prepare
from monitor.log.sqlite_schema import LOG, SPOOL
from tests.cli.running import SERVICE, run
from tests.ports import free_port


@pytest.fixture
def configuration(tmp_path: Path) -> Path:
    path = tmp_path / "monitor.toml"
    path.write_text(SERVICE)
    path.chmod(0o600)
    return path


@pytest.fixture
def taken() -> Iterator[socket.socket]:
    """A port that somebody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def settings_of(
    folder: Path,
    *,
    receiver: str = "127.0.0.1:0",
    admin: str = "127.0.0.1:0",
    log: LogSettings | None = None,
    kafka: KafkaSettings | None = None,
) -> Settings:
    return Settings(
        log=log or LogSettings(path=folder / "var" / "monitor.db"),
        receiver=ReceiverSettings(listen=receiver),
        admin=AdminSettings(listen=admin),
        kafka=kafka or KafkaSettings(),
    )


def failed(settings: Settings) -> list[Check]:
    return [found for found in check_all(settings) if not found.ok]


def test_what_the_service_needs_is_looked_at_and_nothing_is_made(tmp_path: Path) -> None:
    found = check_all(settings_of(tmp_path))

    assert [(one.name, one.ok) for one in found] == [
        ("log.path", True),
        ("log.path disk", True),
        ("receiver.listen", True),
        ("admin.listen", True),
    ]
    assert list(tmp_path.iterdir()) == []


def test_a_log_path_that_is_a_folder_is_an_error(tmp_path: Path) -> None:
    log = LogSettings(path=tmp_path)

    assert failed(settings_of(tmp_path, log=log)) == [
        Check("log.path", False, f"{tmp_path} is a folder; name a file in it")
    ]


def test_a_log_path_below_a_file_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "var"
    file.write_text("")

    assert failed(settings_of(tmp_path)) == [Check("log.path", False, f"{file} is not a folder")]


def test_a_log_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    # Not even root may write in /proc, so the test means the same whoever runs it.
    log = LogSettings(path=Path("/proc/sys/monitor.db"))

    assert failed(settings_of(tmp_path, log=log))[0] == Check(
        "log.path", False, "this user may not write in /proc/sys"
    )


def notes(path: Path) -> None:
    path.write_text("This is no database, but what somebody wrote down about the log.\n")


def database_of_another_program(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE recipes (name TEXT)")


def embedded_log(path: Path) -> None:
    prepare(path, LOG)


def embedded_log_of_a_newer_program(path: Path) -> None:
    prepare(path, LOG._replace(version=LOG.version + 1))


@pytest.mark.parametrize(
    ("make", "backend", "problem"),
    [
        (notes, "sqlite", "file is not a database. Put a copy of an event log of livestream-monitor back"),
        (database_of_another_program, "sqlite", "this file is not an event log of livestream-monitor"),
        (embedded_log, "kafka", "this file is not a spool of livestream-monitor; name another path"),
        (embedded_log_of_a_newer_program, "sqlite", "an event log of livestream-monitor of version 2, newer"),
    ],
)
def test_a_log_path_that_the_service_would_refuse_is_an_error_and_left_as_it_was(
    make: Callable[[Path], None], backend: Literal["sqlite", "kafka"], problem: str, tmp_path: Path
) -> None:
    path = tmp_path / "monitor.db"
    make(path)
    content, beside = path.read_bytes(), sorted(tmp_path.iterdir())

    found = failed(settings_of(tmp_path, log=LogSettings(backend=backend, path=path)))[0]

    assert found.name == "log.path"
    assert found.detail.startswith(f"{path}: {problem}")
    assert (path.read_bytes(), sorted(tmp_path.iterdir())) == (content, beside)


@pytest.mark.parametrize("make", [notes, embedded_log, Path.mkdir])
def test_a_state_file_that_the_service_would_refuse_is_an_error_and_left_as_it_was(
    make: Callable[[Path], None], tmp_path: Path
) -> None:
    path, state = tmp_path / "monitor.db", tmp_path / "monitor.db-state"
    make(state)
    beside = sorted(tmp_path.iterdir())

    [found] = failed(settings_of(tmp_path, log=LogSettings(path=path)))

    assert found.name == "log.path"
    assert found.detail.startswith(f"{state}: ")
    assert sorted(tmp_path.iterdir()) == beside
    # A spool has no states.
    assert not any(
        one.name == "log.path"
        for one in failed(settings_of(tmp_path, log=LogSettings(backend="kafka", path=path)))
    )


@pytest.mark.parametrize(("kind", "backend"), [(LOG, "sqlite"), (SPOOL, "kafka")])
def test_a_log_that_a_service_has_open_is_well_and_an_empty_file_too(
    kind: Kind, backend: Literal["sqlite", "kafka"], tmp_path: Path
) -> None:
    used, empty = tmp_path / "used.db", tmp_path / "empty.db"
    prepare(used, kind)
    empty.touch()
    with closing(sqlite3.connect(used, isolation_level=None)) as service:
        service.execute("BEGIN EXCLUSIVE")

        for path in (used, empty):
            found = check_all(settings_of(tmp_path, log=LogSettings(backend=backend, path=path)))
            assert found[0] == Check("log.path", True, f"{path} can be written")


def test_an_address_that_is_taken_is_an_error(tmp_path: Path, taken: socket.socket) -> None:
    address = "{}:{}".format(*taken.getsockname())

    assert failed(settings_of(tmp_path, receiver=address)) == [
        Check("receiver.listen", False, f"{address} can't be listened on: Address already in use")
    ]


def test_two_names_of_one_address_are_an_error(tmp_path: Path) -> None:
    port = free_port()

    [found] = failed(settings_of(tmp_path, receiver=f"127.0.0.1:{port}", admin=f"localhost:{port}"))

    assert found == Check(
        "admin.listen", False, f"localhost:{port} can't be listened on: Address already in use"
    )


@pytest.mark.parametrize("address", ["192.0.2.1:9108", "[2001:db8::1]:9108"])
def test_an_address_of_another_machine_is_an_error(tmp_path: Path, address: str) -> None:
    (found,) = failed(settings_of(tmp_path, admin=address))

    assert found.name == "admin.listen"
    assert found.detail.startswith(f"{address} can't be listened on: ")


def test_brokers_are_looked_at_only_where_the_log_is_in_kafka(tmp_path: Path, taken: socket.socket) -> None:
    host, port = taken.getsockname()
    # TEST-NET's port 1 is refused or unreachable at once; the second server answers.
    kafka = KafkaSettings(bootstrap_servers=f"127.0.0.1:1,{host}:{port}")
    log = LogSettings(backend="kafka", path=tmp_path / "spool.db")

    found = check_all(settings_of(tmp_path, log=log, kafka=kafka))

    assert Check("kafka.bootstrap_servers", True, f"{host}:{port} answers") in found
    assert not any(one.name.startswith("kafka") for one in check_all(settings_of(tmp_path, kafka=kafka)))


def test_brokers_that_nobody_answers_for_are_one_error(tmp_path: Path) -> None:
    kafka = KafkaSettings(bootstrap_servers="127.0.0.1:1, [::1]:1")
    log = LogSettings(backend="kafka", path=tmp_path / "spool.db")

    assert failed(settings_of(tmp_path, log=log, kafka=kafka)) == [
        Check("kafka.bootstrap_servers", False, "none of them can be reached")
    ]


def test_bodies_that_fit_into_no_record_of_kafkas_are_an_error(tmp_path: Path) -> None:
    settings = settings_of(
        tmp_path,
        log=LogSettings(backend="kafka", path=tmp_path / "spool.db"),
        kafka=KafkaSettings(bootstrap_servers="127.0.0.1:1"),
    )
    receiver = ReceiverSettings(listen="127.0.0.1:0", max_body_bytes=1_000_000)

    found = failed(settings.model_copy(update={"receiver": receiver}))

    assert found[0] == Check("receiver.max_body_bytes", False, "at most 900000 fit into a record of Kafka's")
    assert [one.name for one in failed(settings)] == ["kafka.bootstrap_servers"]


def test_the_command_exits_0_with_a_line_for_each_thing_that_is_well(configuration: Path) -> None:
    ran = run("check", config=configuration)

    assert ran.returncode == 0
    assert [line.split("\t")[:2] for line in ran.stdout.splitlines()] == [
        ["ok", "log.path"],
        ["ok", "log.path disk"],
        ["ok", "receiver.listen"],
        ["ok", "admin.listen"],
        ["ok", "sources"],
    ]
    assert ran.stderr == ""


def test_the_command_exits_1_when_something_cannot_be_reached(
    configuration: Path, taken: socket.socket
) -> None:
    address = "{}:{}".format(*taken.getsockname())
    configuration.write_text(SERVICE.replace("127.0.0.1:0", address, 1))

    ran = run("check", config=configuration)

    assert ran.returncode == 1
    assert f"error\treceiver.listen\t{address} can't be listened on: Address already in use" in ran.stdout


def test_the_command_exits_1_with_every_mistake_on_stderr(configuration: Path) -> None:
    configuration.write_text(SERVICE.replace("softsugar", "zoom").replace("listen", "lissen", 1))

    ran = run("check", config=configuration)

    assert ran.returncode == 1
    assert ran.stdout == ""
    assert ran.stderr.splitlines() == [
        "receiver.lissen: is not a key of receiver; did you mean listen?",
        "sources[0].vendor: must be 'metastudio' or 'softsugar'",
    ]


def test_the_command_prints_warnings_and_still_exits_0(configuration: Path) -> None:
    configuration.write_text(SERVICE.replace('keys = ["Abc123def"]', ""))

    ran = run("check", config=configuration)

    assert ran.returncode == 0
    assert ran.stderr == "warning: sources[0].keys: none is set: anybody who knows the URL can post\n"


def test_a_program_reads_the_checks_and_warnings_as_json(configuration: Path) -> None:
    configuration.chmod(0o644)

    ran = run("check", "--json", config=configuration)

    answer = json.loads(ran.stdout)
    assert answer["ok"] is True
    assert answer["problems"] == []
    assert answer["warnings"] == [
        f"{configuration}: holds secrets, and every user of this machine may read it (chmod o-r)"
    ]
    assert answer["checks"][0] == {
        "name": "log.path",
        "ok": True,
        "detail": f"{configuration.parent}/var/monitor.db can be written",
    }


def test_a_program_reads_the_mistakes_as_json(configuration: Path) -> None:
    configuration.write_text("")

    ran = run("check", "--json", config=configuration)

    assert ran.returncode == 1
    assert json.loads(ran.stdout) == {
        "ok": False,
        "problems": ["sources: none is configured; add a [[sources]] table for each vendor's account"],
        "warnings": [],
        "checks": [],
    }


def test_a_log_that_was_removed_under_the_running_service_is_named(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, log=LogSettings(path=tmp_path / "monitor.db"))
    prepare(settings.log.path, LOG)
    with hold(settings.log.path):
        assert failed(settings) == []
        settings.log.path.unlink()
        (found,) = failed(settings)

    assert found.name == "log.path"
    assert "was removed under the running service" in found.detail
    assert failed(settings) == []
