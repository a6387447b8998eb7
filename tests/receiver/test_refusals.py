"""How refusals are logged."""

from structlog.testing import capture_logs

from monitor.receiver.refusals import REPEAT_SECONDS, RefusalLog


class Elapsed:
    """A steady counter that a test moves."""

    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def test_a_kind_of_refusal_is_logged_again_after_a_while_with_what_was_left_out() -> None:
    elapsed = Elapsed()
    with capture_logs() as lines:
        refusals = RefusalLog(elapsed)
        for _ in range(4):
            refusals.note("prod", "signature")
        elapsed.seconds = REPEAT_SECONDS - 0.001
        refusals.note("prod", "signature")
        elapsed.seconds = REPEAT_SECONDS
        refusals.note("prod", "signature")

    assert [line["unlogged_before"] for line in lines] == [0, 4]


def test_kinds_and_sources_are_logged_apart() -> None:
    with capture_logs() as lines:
        refusals = RefusalLog(Elapsed())
        for source, reason in [("a", "signature"), ("a", "token"), ("b", "token"), ("a", "token")]:
            refusals.note(source, reason)

    assert [(line["source"], line["reason"]) for line in lines] == [
        ("a", "signature"),
        ("a", "token"),
        ("b", "token"),
    ]
