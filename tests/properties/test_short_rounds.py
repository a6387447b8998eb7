"""Signed callbacks of a script so short that it comes round again while a callback is still awaited."""

from monitor.health.reading import coverage
from tests.health.story import Story


def test_a_callback_signed_after_the_next_round_began_is_no_witness_of_the_round_before() -> None:
    story = Story()
    story.register(plan=2)
    story.paragraph(1, at=2.0, signed=2)
    story.progress(2, offset=0, at=4.0)
    story.paragraph(1, at=6.0, signed=6)
    story.paragraph(2, at=8.0, signed=8)
    assert coverage(story.known.script) == 1.0
    assert story.known.script.rounds == 1


def test_a_callback_signed_after_another_paragraph_is_no_witness_of_what_rtc_proved_before_it() -> None:
    story = Story()
    story.register(plan=2)
    story.paragraph(2, at=2.0, signed=2)
    story.progress(1, offset=0, at=4.0)
    story.paragraph(2, at=6.0, signed=6)
    story.paragraph(1, at=8.0, signed=8)
    assert story.known.script.rounds == 2
