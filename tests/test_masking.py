"""What an operator sees of a body: all of it, but for what is secret."""

import json

import pytest

from monitor.masking import MASK, masked

SECRET = "nobody-may-see"


@pytest.mark.parametrize(
    "name",
    [
        "stream_key",
        "streamKey",
        "stream_keys",
        "output_url",
        "outputUrls",
        "pushUrl",
        "key",
        "AuthKey",
        "accessKey",
        "app_key",
        "apiKeys",
        "signature",
        "Authorization",
        "sessionToken",
        "hwSecret",
        "password",
        "userData",
        "live_event_type_callback_url",
        "live_event_report_url",
        "rtmpUrl",
        "pushStreamUrl",
        "sk",
        "pwd",
    ],
)
def test_a_secret_is_masked_by_its_name_in_either_vendor_s_spelling(name: str) -> None:
    assert json.loads(masked(json.dumps({name: SECRET, "state": 1}).encode())) == {name: MASK, "state": 1}


@pytest.mark.parametrize("space", ["", " ", "\n\t"])
def test_json_inside_of_a_text_is_looked_through(space: str) -> None:
    inner = space + json.dumps({"stream_key": SECRET, "job_id": "job"})
    shown = masked(json.dumps({"message": inner}).encode())
    assert json.loads(json.loads(shown)["message"]) == {"stream_key": MASK, "job_id": "job"}


@pytest.mark.parametrize(
    "name",
    [
        "stream_key",
        "streamKey",
        "output_url",
        "outputUrl",
        "token",
        "password",
        "sign",
        "userData",
        "live_event_type_callback_url",
    ],
)
def test_what_is_not_json_is_masked_by_the_look_of_it(name: str) -> None:
    shown = masked(f'{{"message":"{{"{name}":"{SECRET}","job_id":"job"}}"}}'.encode())
    assert SECRET not in shown
    assert '"job_id":"job"' in shown


@pytest.mark.parametrize(
    "value",
    [
        f'"{SECRET}"',
        f'"ab\\"{SECRET}"',
        f'["a", "{SECRET}"]',
        f'{{"a": "{SECRET}"}}',
        f'{" " * 80}"/{SECRET}"',
    ],
)
@pytest.mark.parametrize("depth", [0, 1, 2, 3])
def test_a_secret_in_json_that_was_cut_off_is_masked_however_deep_it_stands(value: str, depth: int) -> None:
    body = f'{{"job_id":"job","stream_key":{value},"state":"on"'
    for _ in range(depth):
        body = json.dumps({"message": body})[:-1]

    shown = masked(body.encode())

    assert SECRET not in shown
    assert "job_id" in shown
    assert MASK in shown


@pytest.mark.parametrize("before", ["\ufeff", "event: "])
def test_json_behind_something_else_in_a_text_is_masked_by_the_look_of_it(before: str) -> None:
    inner = before + json.dumps({"stream_key": SECRET, "job_id": "job"})
    shown = masked(json.dumps({"message": inner}).encode())
    assert json.loads(shown)["message"] == inner.replace(SECRET, MASK)


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        (f"rtmp://push.example.com/live/{SECRET}", f"rtmp://{MASK}"),
        (rf"RTMPS:\/\/push.example.com\/live\/{SECRET}?a=1", rf"RTMPS:\/\/{MASK}"),
        (f"srt://push.example.com:9000?streamid={SECRET}", f"srt://{MASK}"),
        (f"https://cdn.example.com/a/b.png?e=1&x={SECRET}", f"https://cdn.example.com/a/b.png?{MASK}"),
        (f"https://user:{SECRET}@cdn.example.com/a", f"https://{MASK}@cdn.example.com/a"),
        (f"https://user:se@{SECRET}@cdn.example.com/a", f"https://{MASK}@cdn.example.com/a"),
        (f"https://cdn.example.com/a#at={SECRET}", f"https://cdn.example.com/a#{MASK}"),
        ("https://cdn.example.com/a/b.png", "https://cdn.example.com/a/b.png"),
    ],
)
@pytest.mark.parametrize(
    "body",
    [
        '{"message": "push to %s failed, 3/4"}',
        '{"message": "{no JSON: %s failed, 3/4"}',
        "push to %s, 3/4",
        '{"message": "推流地址%s，失败 3/4"}',
        "推流地址%s，失败 3/4",
    ],
)
def test_what_an_address_holds_of_secrets_is_masked_wherever_it_stands(
    address: str, shown: str, body: str
) -> None:
    told = masked((body % address).encode())
    assert SECRET not in told
    assert shown.replace("\\", "") in told.replace("\\", "")
    assert "3/4" in told
    assert ("失败" in told) is ("失败" in body)


@pytest.mark.parametrize("start", ["://", "rtmp:", "rtmp:\\", ":\\/", "a://b@", "://a?"])
def test_a_body_full_of_beginnings_of_addresses_is_looked_through_once(start: str) -> None:
    # Were each of them looked at up to the end, nobody would wait for this.
    assert masked(json.dumps(start * 100_000).encode())


def test_a_text_that_speaks_of_keys_is_shown() -> None:
    text = "the key is [on the table]"
    assert json.loads(masked(json.dumps({"message": text}).encode())) == {"message": text}


def test_a_text_that_only_begins_like_json_is_masked_by_the_look_of_it() -> None:
    cut = json.dumps({"stream_key": SECRET, "job_id": "job"})[:-1]
    shown = masked(json.dumps({"message": cut}).encode())
    assert json.loads(shown)["message"] == cut.replace(SECRET, MASK)


def test_half_of_a_surrogate_pair_is_shown_as_it_was_written() -> None:
    shown = masked(rb'{"shoot_script_title": "\ud83d"}')
    assert shown.encode() == rb'{"shoot_script_title": "\ud83d"}'


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (b"a\x1b[2Jb\r\n\tc\rd", "a\\x1b[2Jb\r\n\tc\\x0dd"),
        ('"\x9b2J"'.encode(), '"\\x9b2J"'),
        (rb'"\u001b[2J"', r'"\u001b[2J"'),
    ],
)
def test_what_a_terminal_would_obey_is_told_by_its_number(body: bytes, shown: str) -> None:
    assert masked(body) == shown


def test_a_byte_order_mark_hides_no_name() -> None:
    assert masked(b'\xef\xbb\xbf{"streamKey": "%b"}' % SECRET.encode()) == f'{{"streamKey": "{MASK}"}}'


def test_an_escaped_ampersand_ends_no_address() -> None:
    for address in ("rtmp://push.example.com/live", "https://cdn.example.com/a"):
        assert SECRET not in masked(rf"no JSON: {address}?a=1\u0026k={SECRET}".encode())
