import json
from typing import Any

from monitor.web.live import Message, Sent


def difference(sent: Sent, **parts: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(sent.difference(Message({"now": 1.5}, {"rows": parts})))
    assert read["now"] == 1.5
    lists: dict[str, Any] = read["lists"]
    return lists


def test_a_new_page_is_sent_everything() -> None:
    assert difference(Sent(), a="<1>", b="<2>") == {
        "rows": {"changed": {"a": "<1>", "b": "<2>"}, "order": ["a", "b"]}
    }


def test_a_page_is_sent_only_what_has_changed() -> None:
    sent = Sent()
    difference(sent, a="<1>", b="<2>")

    assert difference(sent, a="<1>", b="<2>") == {}
    assert difference(sent, a="<1>", b="<3>") == {"rows": {"changed": {"b": "<3>"}}}
    assert difference(sent, b="<3>", a="<1>") == {"rows": {"order": ["b", "a"]}}
    assert difference(sent, b="<3>") == {"rows": {"order": ["b"]}}
    assert difference(sent, b="<3>", a="<1>") == {"rows": {"changed": {"a": "<1>"}, "order": ["b", "a"]}}


def test_an_empty_list_is_told_once() -> None:
    sent = Sent()

    assert difference(sent) == {"rows": {"order": []}}
    assert difference(sent) == {}


def test_a_message_is_one_line_whatever_it_holds() -> None:
    text = Sent().difference(Message({}, {"rows": {"a": "one\ntwo\r\n\u2028three"}}))

    assert "\n" not in text
    assert "\r" not in text
