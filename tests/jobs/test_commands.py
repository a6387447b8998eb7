"""`monitor jobs` as people run it: real processes, a real vendor's server, a running service."""

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from pydantic import SecretStr

from monitor.clock import SystemClock
from monitor.config import AdminSettings, Settings, Source
from monitor.event import Vendor
from monitor.jobs.calling import length, register
from monitor.receiver.tokens import is_token_valid
from monitor.vendors.api_protocol import StartedJob
from monitor.vendors.api_transport import UNUSABLE_PROXY
from tests.receiver.running import eventually
from tests.vendors.vendor_server import (
    ACCESS_KEY,
    APP_ID,
    APP_KEY,
    INVALID,
    JOB,
    PROJECT,
    ROOM,
    SECRET_KEY,
    Fault,
    TestedVendor,
    error,
    running_vendor,
)

RTC_TOKEN = "a-long-random-token-of-this-source"
KEY = "GCTbw44s6MPLh4GqgDpnfuFHgy25Enly"
BARE_JOB = JOB.replace("-", "")
ROOT = Path(__file__).resolve().parent.parent.parent


class Ran(NamedTuple):
    """A command that ended."""

    code: int
    out: str
    err: str

    @property
    def answer(self) -> Any:
        """Its JSON."""
        return json.loads(self.out)


@pytest.fixture
async def vendor() -> AsyncIterator[TestedVendor]:
    async with running_vendor() as one:
        yield one


@pytest.fixture
def config(vendor: TestedVendor, tmp_path: Path) -> Path:
    path = tmp_path / "monitor.toml"
    path.write_text(f"""
[receiver]
listen = "127.0.0.1:0"
[admin]
listen = "127.0.0.1:0"
[[sources]]
name = "meta"
vendor = "metastudio"
public_url = "https://hooks.example.com/callbacks/meta"
auth_type = "MSS_A_HEAD"
keys = ["{KEY}"]
rtc_token = "{RTC_TOKEN}"
[sources.api]
endpoint = "{vendor.endpoint}"
project_id = "{PROJECT}"
access_key = "{ACCESS_KEY}"
secret_key = "{SECRET_KEY}"
ask_every_seconds = 1
calls_per_minute = 6000
[[sources]]
name = "sugar"
vendor = "softsugar"
public_url = "https://hooks.example.com/callbacks/sugar"
[sources.api]
endpoint = "{vendor.endpoint}"
app_id = "{APP_ID}"
app_key = "{APP_KEY}"
""")
    path.chmod(0o600)
    return path


async def jobs(config: Path, *arguments: str, stdin: bytes = b"") -> Ran:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "monitor", "jobs", *arguments, "--config", str(config)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(stdin), 60)
    assert process.returncode is not None
    for secret in (SECRET_KEY, APP_KEY, KEY, RTC_TOKEN):
        assert secret not in out.decode() + err.decode()
    return Ran(process.returncode, out.decode(), err.decode())


@asynccontextmanager
async def serving(config: Path) -> AsyncIterator[str]:
    """A running service; yields the operators' URL."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "monitor", "serve", "--config", str(config), stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    reading: asyncio.Task[None] | None = None
    try:
        url = await asyncio.wait_for(_operators(process.stderr), 30)
        reading = asyncio.create_task(_drain(process.stderr))
        yield url
    finally:
        process.terminate()
        await asyncio.wait_for(process.wait(), 30)
        if reading is not None:
            await reading


async def _operators(stderr: asyncio.StreamReader) -> str:
    async for line in stderr:
        told = json.loads(line)
        if told["event"] == "serving":
            return str(told["operators"])
    raise AssertionError("the service ended before it served")


async def _drain(stderr: asyncio.StreamReader) -> None:
    async for _ in stderr:
        pass


async def stream_when(
    url: str, condition: Callable[[dict[str, Any]], bool], stream: str = f"meta/{JOB}"
) -> dict[str, Any]:
    """Return a stream, the job's as a rule, once it is as wanted, 30 seconds at most."""
    found: dict[str, Any] = {}
    async with httpx.AsyncClient(base_url=url) as client:
        for _ in range(600):
            answer = await client.get(f"/api/streams/{stream}")
            found = answer.json()
            if answer.status_code == 200 and condition(found):
                return found
            await asyncio.sleep(0.05)
    raise AssertionError(f"the stream stayed as it was: {found}")


ROOM_ANSWER = {
    "room_id": ROOM,
    "scene_scripts": [
        {"script_name": "Product 1", "shoot_scripts": [{"sequence_no": 1}, {"sequence_no": 2}]},
    ],
}


async def test_a_started_job_is_registered_with_plan_warnings_and_policy(
    vendor: TestedVendor, config: Path
) -> None:
    vendor.room = ROOM_ANSWER
    vendor.start_answer = {
        "job_id": JOB,
        "rtc_room_info": {"app_id": "a", "room_id": "rtc-room", "users": []},
        "live_warning_info": [{"warning_type": "TOO_LESSS_SCRIPT_ITEMS"}],
    }
    vendor.jobs[JOB] = {"job_id": JOB, "room_id": ROOM, "state": "WAITING"}
    vendor.warnings = ["TOO_LESSS_SCRIPT_ITEMS"]
    async with serving(config) as url:
        ran = await jobs(
            config,
            *("start", "meta", "--room", ROOM, "--callbacks", "--service", url),
            *("--random-play-mode", "NONE", "--repeat-count", "-1", "--max-hours", "24"),
        )
        found = await stream_when(url, lambda stream: bool(stream["registered"]))

    assert (ran.code, ran.err) == (0, "")
    assert "The script has too few paragraphs. (TOO_LESSS_SCRIPT_ITEMS)" in ran.out
    sent = [asked.document for asked in vendor.calls("/smart-live-jobs") if asked.method == "POST"]
    assert [request["live_event_callback_config"] for request in sent] == [
        {
            "live_event_type_callback_url": "https://hooks.example.com/callbacks/meta",
            "auth_type": "MSS_A_HEAD",
            "key": KEY,
            "callback_event_type": [
                "SHOOT_SCRIPT_SWITCH",
                "RTMP_STREAM_STATE_CHANGE",
                "REPLY_COMMAND_FINISH",
            ],
        }
    ]
    assert found["plan_origin"] == "api"
    assert found["plan"] == [{"scene": "Product 1", "sequence_no": number} for number in (1, 2)]
    assert (found["random_play_mode"], found["rtc_room_id"]) == ("NONE", "rtc-room")
    assert found["warnings"] == ["TOO_LESSS_SCRIPT_ITEMS"]


async def test_the_service_asks_the_vendor_and_shows_a_failure_that_nobody_called_back(
    vendor: TestedVendor, config: Path
) -> None:
    told = {"error_code": "MSS.10000001", "error_msg": "No resource"}
    vendor.jobs[JOB] = {"job_id": JOB, "room_id": ROOM, "state": "FAILED", "error_info": told}
    async with serving(config) as url:
        found = await stream_when(url, lambda stream: stream["status"] == "ended")
        async with httpx.AsyncClient() as client:
            metrics = (await client.get(f"{url}/metrics")).text

    assert found["outcome"] == "failed"
    assert found["reasons"] == ["The vendor's API says that the job failed: MSS.10000001 No resource."]
    assert (found["vendor_state"], found["vendor_error"]) == ("failed", "MSS.10000001 No resource")
    assert found["timeline"][-1]["channel"] == "api"
    assert 'monitor_reconcile_differences_total{kind="unknown",source="meta"} 1.0' in metrics


async def test_a_start_that_cannot_be_registered_says_so_and_names_the_job(
    vendor: TestedVendor, config: Path
) -> None:
    ran = await jobs(config, "start", "meta", "--room", ROOM, "--service", "http://127.0.0.1:9", "--json")

    assert ran.code == 1
    assert ran.answer["job_id"] == JOB
    assert not ran.answer["registered"]
    assert "the job runs, but isn't registered" in ran.err
    assert len(vendor.calls("/smart-live-jobs")) == 1


async def test_a_start_that_is_interrupted_while_the_service_hangs_names_the_job(config: Path) -> None:
    asked = asyncio.Event()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await reader.read()
        writer.close()

    async with await asyncio.start_server(hang, "127.0.0.1", 0) as service:
        port = service.sockets[0].getsockname()[1]
        ran = await _interrupted_start(config, f"http://127.0.0.1:{port}", asked.wait())

    assert ran.code == 1
    assert ran.answer["job_id"] == JOB
    assert ran.err == "the job runs, but isn't registered: it was interrupted\n"


@pytest.mark.parametrize(
    ("answer", "hanging"),
    [({"job_id": JOB}, "/live-warning-info"), ({"job_id": JOB, "live_warning_info": []}, f"/{ROOM}")],
)
async def test_a_start_that_is_interrupted_while_the_vendor_is_asked_for_more_names_the_job(
    vendor: TestedVendor, config: Path, answer: dict[str, Any], hanging: str
) -> None:
    vendor.faults += [Fault(202, json.dumps(answer).encode()), Fault(slow=True)]

    asked = eventually(lambda: bool(vendor.calls(hanging)))
    ran = await _interrupted_start(config, "http://127.0.0.1:9", asked)

    assert ran.code == 1
    assert ran.answer["job_id"] == JOB
    assert ran.err.startswith("the job runs, but isn't registered")


@pytest.mark.parametrize(
    ("arguments", "call", "look"),
    [
        (("start", "--room", ROOM), "/smart-live-jobs", "monitor jobs list meta shows what runs"),
        (("stop", "--room", ROOM, "--job", JOB), "/stop", "monitor jobs list meta shows what runs"),
        (
            ("command", "GET_X", "--room", ROOM, "--job", JOB),
            "/command",
            "look at the job at the vendor's before you send it again",
        ),
    ],
)
async def test_who_interrupts_what_the_vendor_may_have_heard_is_told_so(
    vendor: TestedVendor, config: Path, arguments: tuple[str, ...], call: str, look: str
) -> None:
    vendor.faults.append(Fault(slow=True))
    command, *options = arguments

    asked = eventually(lambda: bool(vendor.calls(call)))
    ran = await _interrupted(config, asked, command, "meta", *options, "--json")

    assert (ran.code, ran.out) == (130, "")
    assert ran.err == f"interrupted (it may have been done all the same): {look}\n"
    assert len(vendor.asked) == 1


async def _interrupted_start(config: Path, service: str, hangs: Awaitable[object]) -> Ran:
    return await _interrupted(config, hangs, "start", "meta", "--room", ROOM, "--json", "--service", service)


async def _interrupted(config: Path, hangs: Awaitable[object], *arguments: str) -> Ran:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "monitor", "jobs", *arguments, "--config", str(config)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        # A shell lets what it runs in the background ignore Ctrl-C, these tests and their children too.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    await asyncio.wait_for(hangs, 30)
    process.send_signal(signal.SIGINT)
    out, err = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode is not None
    return Ran(process.returncode, out.decode(), err.decode())


async def test_a_proxy_on_the_way_to_the_vendor_is_not_taken_to_the_service_of_this_machine(
    vendor: TestedVendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    settings = Settings(admin=AdminSettings(listen=vendor.address))
    meta = Source(
        name="meta", vendor=Vendor.METASTUDIO, public_url="https://hooks.example.com/callbacks/meta"
    )

    told = await register(settings, meta, StartedJob(JOB, {"response": {"job_id": JOB}}, {}, ()), None)

    # Whoever listens there was reached, and is no service.
    assert told == (False, f"the service at {vendor.endpoint} answered 200")
    assert vendor.calls("/api/jobs/meta") != []


async def test_a_request_comes_from_a_file_with_the_options_on_top(
    vendor: TestedVendor, config: Path
) -> None:
    body = {"output_urls": ["rtmp://push.example.com/live"], "play_policy": {"repeat_count": 3}}

    await jobs(
        config,
        *("start", "meta", "--room", ROOM, "--body", "-", "--play-mode", "AUDIO", "--max-hours", "0"),
        *("--service", "http://127.0.0.1:9"),
        stdin=json.dumps(body).encode(),
    )

    sent = vendor.calls("/smart-live-jobs")[0].document
    # Without a limit, which is 0 and not nothing.
    unlimited = {"live_exit_config": {"max_live_duration": 0}}
    assert sent == {**body, "play_policy": {"repeat_count": 3, "play_mode": "AUDIO", **unlimited}}


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b'{"play_policy": {"repeat_count": 101}}', "play_policy.repeat_count"),
        (b"{", "isn't JSON (line 1)"),
        (b"[]", "must be a JSON object"),
        (b"[" * 100_000, "is nested too deeply"),
        (b"\xff", "can't be read as a text"),
        (b'{"job_run_config": {"half": "\\ud83d"}}', "holds what can't be sent"),
        (b'{"job_run_config": {"number": NaN}}', "holds what can't be sent"),
    ],
)
async def test_a_request_that_cannot_work_is_wrong_usage_and_not_sent(
    body: bytes, problem: str, vendor: TestedVendor, config: Path
) -> None:
    ran = await jobs(config, "start", "meta", "--room", ROOM, "--body", "-", stdin=body)

    assert ran.code == 2
    assert problem in ran.err
    assert len(ran.err.splitlines()) == 1
    assert vendor.asked == []


async def test_a_request_from_a_stdin_that_is_closed_is_one_line(config: Path) -> None:
    command = f"{sys.executable} -m monitor jobs start sugar --body - --config {config} <&-"

    process = await asyncio.create_subprocess_shell(command, stderr=asyncio.subprocess.PIPE)
    _, err = await asyncio.wait_for(process.communicate(), 60)

    assert process.returncode == 2
    assert err.decode() == "--body -: can't be read: stdin is closed\n"


async def test_a_request_that_isnt_there_is_said_to_be_missing(config: Path, tmp_path: Path) -> None:
    nowhere = tmp_path / "start.json"

    ran = await jobs(config, "start", "meta", "--room", ROOM, "--body", str(nowhere))

    assert (ran.code, ran.err) == (2, f"--body {nowhere}: can't be read: No such file or directory\n")


async def test_a_play_policy_is_not_sent_to_the_vendor_that_has_none(
    vendor: TestedVendor, config: Path
) -> None:
    ran = await jobs(
        config, "start", "sugar", "--repeat-count", "1", "--body", "-", stdin=b'{"param": {"a": 1}}'
    )

    assert ran.code == 2
    assert "a play policy is MetaStudio's" in ran.err
    assert vendor.asked == []


async def test_a_job_is_shown_listed_and_stopped(vendor: TestedVendor, config: Path) -> None:
    vendor.jobs[JOB] = {
        "job_id": JOB,
        "room_id": ROOM,
        "state": "PROCESSING",
        "duration": 90.0,
        "stream_duration": 80.0,
        "live_event_callback_config": {},
    }
    told = {
        "job_id": JOB,
        "room_id": ROOM.replace("-", ""),
        "state": "running",
        "duration": 90.0,
        "push_duration": 80.0,
        "callbacks": "nowhere",
        "error": None,
        "reason": None,
    }

    shown = await jobs(config, "show", "meta", "--room", ROOM, "--job", JOB, "--json")
    listed = await jobs(config, "list", "meta", "--json")
    stopped = await jobs(config, "stop", "meta", "--room", ROOM, "--job", JOB)
    lines = await jobs(config, "list", "meta")

    assert (shown.code, shown.answer) == (0, told)
    assert (listed.code, listed.answer) == (0, [told])
    assert (stopped.code, len(vendor.calls("/stop"))) == (0, 1)
    assert lines.out.split("\t")[:3] == [JOB, ROOM.replace("-", ""), "running"]


async def test_a_list_with_a_job_that_can_t_be_read_shows_the_others_and_fails(
    vendor: TestedVendor, config: Path
) -> None:
    readable = {"job_id": JOB, "room_id": ROOM, "state": "PROCESSING"}
    answer = {"count": 2, "smart_live_jobs": [{"room_id": ROOM}, readable]}
    vendor.faults.extend([Fault(200, json.dumps(answer).encode())] * 2)

    lines = await jobs(config, "list", "meta")
    listed = await jobs(config, "list", "meta", "--json")

    assert (lines.code, listed.code) == (1, 1)
    assert lines.out.split("\t")[0] == JOB
    assert [one["job_id"] for one in listed.answer] == [JOB]
    assert "smart_live_jobs.0.job_id" in lines.err


async def test_a_vendors_words_stay_on_their_line_and_in_their_column(
    vendor: TestedVendor, config: Path
) -> None:
    told = {"error_code": "MSS.1", "error_msg": "No resource\n\tleft\x1b[2J"}
    vendor.jobs[JOB] = {"job_id": JOB, "room_id": ROOM, "state": "FAILED", "error_info": told}

    shown = await jobs(config, "show", "meta", "--room", ROOM, "--job", JOB)

    rows = [line.split("\t") for line in shown.out.splitlines()]
    assert {len(row) for row in rows} == {2}
    assert rows[-1] == ["reason", "No resource  left [2J"]


async def test_a_reason_is_told_without_the_address_that_is_pushed_to(
    vendor: TestedVendor, config: Path
) -> None:
    told = {"error_code": "MSS.1", "error_msg": "rtmp://push.example.com/live/hidden-key can't be reached"}
    vendor.jobs[JOB] = {"job_id": JOB, "room_id": ROOM, "state": "FAILED", "error_info": told}

    shown = await jobs(config, "show", "meta", "--room", ROOM, "--job", JOB, "--json")

    assert shown.answer["reason"] == "rtmp://*** can't be reached"


async def test_a_refusal_is_told_without_the_secrets_that_were_sent(
    vendor: TestedVendor, config: Path, tmp_path: Path
) -> None:
    said = f"stream_keys[0] hidden-key, rtmp://push.example.com/live and {KEY} can't be used"
    vendor.faults.append(error(400, "MSS.00000003", said))
    body = {"output_urls": ["rtmp://push.example.com/live"], "stream_keys": ["hidden-key"]}
    (tmp_path / "start.json").write_text(json.dumps(body))

    refused = await jobs(
        *(config, "start", "meta", "--room", ROOM, "--callbacks", "--body", str(tmp_path / "start.json"))
    )

    assert refused.code == 1
    assert "MSS.00000003 stream_keys[0] ***, *** and *** can't be used" in refused.err


@pytest.mark.parametrize(("known", "given"), [(JOB, BARE_JOB.upper()), (BARE_JOB, JOB)])
async def test_a_job_is_found_however_its_id_is_spelled(
    known: str, given: str, vendor: TestedVendor, config: Path
) -> None:
    vendor.jobs[known] = {"job_id": known, "room_id": ROOM, "state": "PROCESSING"}

    shown = await jobs(config, "show", "meta", "--room", ROOM, "--job", given, "--json")
    stopped = await jobs(config, "stop", "meta", "--room", ROOM, "--job", given)

    assert (shown.code, shown.answer["state"]) == (0, "running")
    assert stopped.code == 0
    assert vendor.calls("/stop")[-1].path.endswith(f"/{known}/stop")


async def test_a_job_is_started_in_its_room_however_that_is_spelled(
    vendor: TestedVendor, config: Path
) -> None:
    vendor.faults.append(error(404, "MSS.00000002", "no such room"))
    started = await jobs(config, "start", "meta", "--room", ROOM.replace("-", ""), "--json")
    vendor.faults.extend([error(404, "MSS.00000002", "no such room")] * 2)
    nowhere = await jobs(config, "start", "meta", "--room", ROOM)

    # It isn't registered, since no service runs.
    assert started.answer["job_id"] == JOB
    assert started.answer["room_id"] == ROOM
    paths = [asked.path for asked in vendor.calls("/smart-live-jobs")]
    assert [path.split("/")[-2] for path in paths] == [
        ROOM.replace("-", ""),
        ROOM,
        ROOM,
        ROOM.replace("-", ""),
    ]
    assert (nowhere.code, nowhere.out) == (1, "")
    assert "MSS.00000002" in nowhere.err


async def test_a_stop_of_a_job_that_the_vendor_does_not_know_has_failed(config: Path) -> None:
    stopped = await jobs(config, "stop", "meta", "--room", ROOM, "--job", JOB)

    assert stopped.code == 1
    assert "MSS.00000002" in stopped.err


async def test_a_running_job_is_sent_a_command_and_the_vendors_answer_is_told_without_its_secrets(
    vendor: TestedVendor, config: Path, tmp_path: Path
) -> None:
    answer = {"command_id": "c-1\x85", "result": json.dumps({"state": "ok", "stream_keys": ["hidden-key"]})}
    vendor.faults.extend([Fault(200, json.dumps(answer).encode())] * 2)
    params = {"output_urls": ["rtmp://push.example.com/live"], "stream_keys": ["new-key"]}
    (tmp_path / "params.json").write_text(json.dumps(params))
    refresh = ("command", "meta", "REFRESH_OUTPUT_URL", "--room", ROOM, "--job", JOB, "--params")

    told = await jobs(config, *refresh, str(tmp_path / "params.json"), "--json")
    piped = await jobs(config, *refresh, "-", stdin=json.dumps(params).encode())

    assert (told.code, piped.code) == (0, 0)
    assert told.answer["command_id"] == "c-1\x85"
    assert json.loads(told.answer["result"]) == {"state": "ok", "stream_keys": "***"}
    assert [line.split("\t")[0] for line in piped.out.splitlines()] == ["job_id", "command_id", "result"]
    assert "key" not in (told.out + piped.out + told.err + piped.err).replace("stream_keys", "")
    assert [asked.document for asked in vendor.calls("/command")] == [
        {"command": "REFRESH_OUTPUT_URL", "params": params}
    ] * 2


async def test_a_command_finds_its_job_however_its_id_is_spelled(vendor: TestedVendor, config: Path) -> None:
    vendor.jobs[BARE_JOB] = {"job_id": BARE_JOB, "room_id": ROOM, "state": "PROCESSING"}

    sent = await jobs(config, "command", "meta", "GET_X", "--room", ROOM, "--job", JOB)
    nobodys = await jobs(config, "command", "meta", "GET_X", "--room", ROOM, "--job", ROOM)

    assert (sent.code, nobodys.code) == (0, 1)
    assert vendor.calls("/command")[1].path.endswith(f"/{BARE_JOB}/command")
    assert vendor.calls("/command")[1].document == {"command": "GET_X"}
    assert "MSS.00000002" in nobodys.err


async def test_a_command_that_cannot_work_is_wrong_usage_and_not_sent(
    vendor: TestedVendor, config: Path
) -> None:
    reset = ("command", "meta", "RESET_EXIT_CONFIG", "--room", ROOM, "--job", JOB, "--params", "-")

    too_long = await jobs(config, *reset, stdin=b'{"max_exception_waiting_duration": 61}')
    no_object = await jobs(config, *reset, stdin=b"60")
    of_a_session = await jobs(config, "command", "sugar", "REFRESH_OUTPUT_URL", "--job", "s-1")

    assert [ran.code for ran in (too_long, no_object, of_a_session)] == [2, 2, 2]
    assert "max_exception_waiting_duration: Input should be less than or equal to 60" in too_long.err
    assert "--params -: must be a JSON object" in no_object.err
    assert "SoftSugar's sessions take no commands" in of_a_session.err
    assert vendor.asked == []


async def test_the_runbooks_commands_list_show_command_stop_and_start_a_job(
    vendor: TestedVendor, config: Path, tmp_path: Path
) -> None:
    vendor.room = ROOM_ANSWER
    vendor.jobs[JOB] = {"job_id": JOB, "room_id": ROOM, "state": "PROCESSING"}
    command = tmp_path / "monitor"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m monitor "$@"\n')
    command.chmod(0o755)
    (tmp_path / "start.json").write_text("{}")
    (tmp_path / "more-time.json").write_text('{"max_exception_waiting_duration": 60}')
    typed = re.findall(r"(?m)^\$ (monitor jobs .*)$", (ROOT / "alerts/runbooks/README.md").read_text())
    async with serving(config) as url:
        values = {"SOURCE": "meta", "ROOM": ROOM, "JOB": BARE_JOB, "CONFIG": str(config), "MONITOR": url}
        path = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
        for line in typed:
            process = await asyncio.create_subprocess_exec(
                *("sh", "-eu", "-c", line), cwd=tmp_path, env=os.environ | path | values
            )
            assert await asyncio.wait_for(process.wait(), 60) == 0, line

    calls = [(asked.method, asked.path.rpartition("/")[2]) for asked in vendor.asked]
    assert ("POST", "command") in calls
    assert ("POST", "stop") in calls
    assert ("POST", "smart-live-jobs") in calls


async def test_a_session_is_started_shown_listed_and_closed(config: Path) -> None:
    started = await jobs(
        config,
        *("start", "sugar", "--body", "-", "--service", "http://127.0.0.1:9", "--json"),
        stdin=b'{"param": {"a": 1}}',
    )
    listed = await jobs(config, "list", "sugar", "--json")
    stopped = await jobs(config, "stop", "sugar", "--job", "s-1", "--json")
    shown = await jobs(config, "show", "sugar", "--job", "s-1", "--json")
    again = await jobs(config, "stop", "sugar", "--job", "s-1")

    assert started.answer["job_id"] == "s-1"
    assert [one["job_id"] for one in listed.answer] == ["s-1"]
    assert (stopped.code, stopped.answer) == (0, {"job_id": "s-1", "stopped": True})
    assert (shown.code, shown.answer["state"]) == (1, "missing")
    assert again.code == 1
    assert "84115929" in again.err


async def test_a_session_that_was_stopped_on_purpose_is_completed_though_nobody_calls_back(
    config: Path,
) -> None:
    async with serving(config) as url:
        told = ("--service", url, "--json")
        await jobs(config, "start", "sugar", "--body", "-", *told, stdin=b'{"param": {"a": 1}}')
        await stream_when(url, lambda stream: stream["status"] == "starting", "sugar/s-1")
        stopped = await jobs(config, "stop", "sugar", "--job", "s-1", *told)
        found = await stream_when(url, lambda stream: stream["status"] == "ended", "sugar/s-1")

    assert (stopped.code, stopped.answer, stopped.err) == (0, {"job_id": "s-1", "stopped": True}, "")
    assert found["outcome"] == "completed"
    assert "the vendor's API says so" in found["timeline"][-1]["what"]


async def test_a_stop_that_the_service_was_not_told_of_says_what_it_will_make_of_it(
    vendor: TestedVendor, config: Path
) -> None:
    vendor.sessions = {"s-1": 35}

    stopped = await jobs(config, "stop", "sugar", "--job", "s-1", "--service", "http://127.0.0.1:9", "--json")

    assert (stopped.code, stopped.answer) == (0, {"job_id": "s-1", "stopped": True})
    assert stopped.err == (
        "unless the vendor calls back, the service will take it for vanished: "
        "the service at http://127.0.0.1:9 can't be reached\n"
    )


async def test_a_vendors_error_is_one_sentence_with_its_code_and_request_id(
    vendor: TestedVendor, config: Path
) -> None:
    vendor.faults.append(INVALID)

    ran = await jobs(config, "stop", "meta", "--room", ROOM, "--job", JOB)

    assert ran.code == 1
    assert ran.err.strip() == (
        "POST (stop): was refused (status 400); the vendor says: MSS.00000003 Invalid parameter; "
        "request id 0a1b2c3d4e5f"
    )


async def test_a_vendors_error_of_several_lines_is_one_sentence_too(
    vendor: TestedVendor, config: Path
) -> None:
    vendor.faults.append(error(400, "MSS.00000003", "Invalid\nparameter \x1b[2J"))

    ran = await jobs(config, "stop", "meta", "--room", ROOM, "--job", JOB)

    assert "MSS.00000003 Invalid parameter  [2J; request id" in ran.err
    assert len(ran.err.splitlines()) == 1


@pytest.mark.parametrize("proxy", ["socks5://somebody:password@127.0.0.1:9", "proxy://x", "http://[::1"])
async def test_a_proxy_of_the_environment_that_cannot_be_used_is_said_in_one_line(
    proxy: str, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)

    ran = await jobs(config, "list", "sugar")

    assert ran.code == 2
    assert ran.err.splitlines() == [UNUSABLE_PROXY]


async def test_a_relays_token_is_one_that_the_receiver_takes_for_this_job_alone(config: Path) -> None:
    ran = await jobs(config, "rtc-token", "meta", "--job", JOB, "--valid-for", "2h", "--json")

    token, now = ran.answer["token"], SystemClock().now()
    assert now + 7100 < ran.answer["expires"] <= now + 7200
    assert is_token_valid(SecretStr(RTC_TOKEN), token, "meta", JOB, now)
    assert not is_token_valid(SecretStr(RTC_TOKEN), token, "meta", JOB, now + 7201)
    assert not is_token_valid(SecretStr(RTC_TOKEN), token, "meta", "another", now)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("45m", 2700), ("24h", 86400), ("7d", 604800), ("007m", 420)]
)
def test_a_length_of_time_is_a_number_with_its_unit(text: str, seconds: int) -> None:
    assert length(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "0s", "00d", "-1h", "1.5h", "24", "24H", "1h30m", "٣h", "36501d", "9999999999s"]
)
def test_what_is_no_length_of_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="such as 24h"):
        length(text)


@pytest.mark.parametrize(
    "arguments",
    [
        ("show", "meta", "--job", JOB),
        ("show", "nobody", "--job", JOB),
        ("rtc-token", "meta", "--job", JOB, "--valid-for", "soon"),
        ("rtc-token", "sugar", "--job", JOB),
        ("rtc-token", "meta", "--job", ""),
        ("rtc-token", "meta", "--job", "not UTF-8: \udcff"),
        ("show", "sugar", "--job", "one\ntwo"),
        ("show", "meta", "--job", JOB, "--room", "not UTF-8: \udcff"),
        ("stop", "sugar", "--job", "j" * 257),
        ("start", "sugar", "--callbacks"),
        ("start", "sugar", "--repeat-count", "1"),
        ("start", "meta", "--room", ROOM, "--body", "/nowhere"),
        # A job that runs costs money, whatever is wrong with the address.
        ("start", "meta", "--room", ROOM, "--service", "http://127.0.0.1:91O8"),
        ("start", "meta", "--room", ROOM, "--service", "127.0.0.1:9108"),
        ("stop", "sugar", "--job", "s-1", "--service", "nowhere"),
    ],
)
async def test_wrong_usage_is_said_and_nothing_is_sent(
    arguments: tuple[str, ...], vendor: TestedVendor, config: Path
) -> None:
    ran = await jobs(config, *arguments)

    assert ran.code == 2
    assert ran.err
    assert vendor.asked == []
