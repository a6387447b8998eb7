from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from monitor.metrics.catalogue import Family, FamilyType
from monitor.metrics.text import (
    OPENMETRICS_END,
    block,
    label,
    write_blocks,
    write_header,
    write_numbers,
)

COUNTER = Family("livestream_waves_total", FamilyType.COUNTER, ("kind",), "Waves to the audience")

TEXTS = st.text(st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from('\\"\n,{}= ')))
VALUES = st.one_of(st.integers(0, 2**53), st.floats(0, allow_nan=False, allow_infinity=False))


@given(
    st.lists(st.tuples(TEXTS, st.none() | VALUES), unique_by=lambda stream: stream[0]), TEXTS, st.booleans()
)
def test_both_parsers_read_what_was_written(
    streams: list[tuple[str, float | None]], kind: str, openmetrics: bool
) -> None:
    rows = [label("job_id", job_id) for job_id, _ in streams]
    values = [value for _, value in streams]
    more = label("kind", kind)
    parse = parse_openmetrics if openmetrics else parse_text
    header = write_header(COUNTER, openmetrics=openmetrics)
    end = OPENMETRICS_END if openmetrics else b""
    blocks = [() if value is None else block(COUNTER, [(more, value)]) for value in values]

    for lines in (write_numbers(COUNTER, more, rows, values), write_blocks(rows, blocks)):
        page = header + b"".join(lines) + end
        (family,) = parse(page.decode())
        read = {sample.labels["job_id"]: sample.value for sample in family.samples}

        assert family.type == "counter"
        assert family.documentation == COUNTER.help
        assert {sample.name for sample in family.samples} <= {COUNTER.name}
        assert {sample.labels["kind"] for sample in family.samples} <= {kind}
        assert read == {job_id: value for job_id, value in streams if value is not None}


def test_a_page_longer_than_a_piece_loses_nothing() -> None:
    rows = [label("job_id", str(number)) for number in range(1501)]

    lines = b"".join(write_numbers(COUNTER, "", rows, range(1501))).decode().splitlines()

    assert lines == [f'livestream_waves_total{{job_id="{number}"}} {number}' for number in range(1501)]


def test_a_block_repeats_the_streams_labels_in_each_line() -> None:
    cuts = block(COUNTER, [('kind="a"', 1), ('kind="b"', 0)])

    assert b"".join(write_blocks(['job_id="1"'], [cuts])).decode() == (
        'livestream_waves_total{job_id="1",kind="a"} 1\nlivestream_waves_total{job_id="1",kind="b"} 0\n'
    )


def test_half_a_surrogate_pair_is_spelled_out() -> None:
    assert label("job_id", "\ud83d!").encode() == rb'job_id="\\ud83d!"'
