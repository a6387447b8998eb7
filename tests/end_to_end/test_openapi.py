"""`/openapi.json` is true: whatever it says may be asked is answered as it says."""

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import one_of
from schemathesis import GenerationMode
from schemathesis.schemas import BaseSchema
from schemathesis.specs.openapi.checks import negative_data_rejection

from tests.end_to_end.browsing import link_body, script_body, tell
from tests.end_to_end.running import Service, wait_for


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BaseSchema]:
    service = Service(tmp_path_factory.mktemp("service"))
    try:
        service.start()
        tell(service.callbacks, [link_body("bad", "CONNECTED"), link_body("bad", "DISCONNECTED")])
        tell(service.callbacks, [script_body("bad", 1, scene="Scene", title="Title")])
        wait_for(lambda: service.total("monitor_streams") == 1, what="a stream")
        yield schemathesis.openapi.from_url(f"{service.operators}/openapi.json")
    finally:
        service.close()


def test_every_answer_is_one_that_the_description_has(described: BaseSchema) -> None:
    asked = []
    for found in described.get_all_operations():
        operation = found.ok()  # type: ignore[union-attr]  # an operation that isn't one fails here
        asked.append(operation.label)

        @given(one_of(*(operation.as_strategy(generation_mode=mode) for mode in GenerationMode)))
        @settings(max_examples=40, derandomize=True, suppress_health_check=list(HealthCheck))
        def answers(case: schemathesis.Case[Any]) -> None:
            # A number in a query is the text of it, and a text is what a source's name may be.
            case.call_and_validate(excluded_checks=[negative_data_rejection])

        answers()
    assert {"GET /api/streams", "POST /api/jobs/{source}", "GET /metrics"} < set(asked)
