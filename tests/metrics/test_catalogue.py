import re

import pytest
from prometheus_client import CollectorRegistry

from monitor.metrics.catalogue import (
    SERVICE_FAMILIES,
    STREAM_FAMILIES,
    STREAM_LABELS,
    Family,
    FamilyType,
    family,
)
from monitor.metrics.service import ServiceMetrics
from monitor.metrics.streams import RENDERERS

ALL = STREAM_FAMILIES + SERVICE_FAMILIES


def test_each_name_stands_once() -> None:
    assert len(ALL) == len({line.name for line in ALL})


@pytest.mark.parametrize("line", ALL, ids=lambda line: line.name)
def test_a_name_follows_the_conventions(line: Family) -> None:
    assert re.fullmatch(r"(livestream|monitor)(_[a-z]+)+", line.name)
    assert line.name.endswith("_total") is (line.type is FamilyType.COUNTER)


@pytest.mark.parametrize("line", STREAM_FAMILIES, ids=lambda line: line.name)
def test_a_family_of_the_streams_adds_labels_of_its_own(line: Family) -> None:
    assert not set(line.labels) & set(STREAM_LABELS)


@pytest.mark.parametrize("line", ALL, ids=lambda line: line.name)
def test_a_help_is_one_sentence_that_needs_no_escaping(line: Family) -> None:
    assert re.fullmatch(r"[A-Z][^\\\"\n]{20,110}[^.]", line.help)


def test_each_family_of_the_streams_has_its_renderer_in_order() -> None:
    assert list(STREAM_FAMILIES) == [renderer.family for renderer in RENDERERS]


def test_each_family_of_the_service_is_built_and_no_other() -> None:
    registry = CollectorRegistry()
    ServiceMetrics(registry)

    built = {metric.name: metric.type for metric in registry.collect()}

    assert {line.name.removesuffix("_total"): line.type for line in SERVICE_FAMILIES} == built


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(KeyError):
        family("livestream_mood")
