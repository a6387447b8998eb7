"""Whatever the simulator sends, the vendors' own rules accept, and says what was meant."""

import contextlib
import json
from collections import Counter
from dataclasses import replace
from urllib.parse import unquote, urlsplit

import httpx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitor.errors import AuthenticationError
from monitor.event import Channel, Decoded, LinkChanged, ParagraphStarted, ReplyFinished, canonical_job_id
from monitor.simulator import bodies
from monitor.simulator.delivery import callback
from monitor.simulator.life import Fact
from monitor.simulator.options import Scenario, SimulationOptions
from monitor.simulator.run import Life, lives
from monitor.vendors import registry
from monitor.vendors.metastudio.api_requests import start_request
from monitor.vendors.protocol import Request
from monitor.vendors.registration import decode_reduced

SIGNED = 1_750_000_000
SEEDS = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
INDICES = st.integers(0, 29)
SCENARIOS = st.sampled_from(Scenario)


def life_of(options: SimulationOptions, scenario: Scenario, seed: int, index: int) -> Life:
    (life,) = lives(replace(options, seed=seed, scenario=scenario), index, lambda: 0.0)
    return life


def meant(fact: Fact, life: Life, decoded: Decoded) -> object:
    """What the fact should decode to: the simulator doesn't hash outputs, and knows its rooms apart."""
    payload = fact.payload
    if fact.channel is Channel.CALLBACK and isinstance(
        payload, LinkChanged | ParagraphStarted | ReplyFinished
    ):
        payload = payload._replace(room_id=life.identity.room_id)
    if isinstance(payload, LinkChanged):
        assert isinstance(decoded.payload, LinkChanged)
        payload = payload._replace(output=decoded.payload.output)
    return payload


@SEEDS
@given(scenario=SCENARIOS, seed=st.integers(0, 2**32), index=INDICES)
def test_callbacks_are_signed_and_decode_to_what_was_meant(
    options: SimulationOptions, scenario: Scenario, seed: int, index: int
) -> None:
    life = life_of(options, scenario, seed, index)
    source = life.identity.source
    for fact in {delivery.fact for delivery in life.deliveries}:
        if fact.channel is not Channel.CALLBACK:
            continue
        post = callback(life.identity, fact, "http://receiver.test", SIGNED)
        assert urlsplit(post.url).path == f"/callbacks/{source.name}"
        request = Request(urlsplit(post.url).query, post.headers, post.content)
        verified = registry.verifier(source)(request)
        assert verified.signed == (SIGNED if source.is_signed else None)
        decoded = registry.decode_callback(source, post.content)
        assert decoded.job_id == life.identity.job_id
        assert decoded.payload == meant(fact, life, decoded)


@SEEDS
@given(scenario=SCENARIOS, seed=st.integers(0, 2**32), index=st.sampled_from((0, 4)))
def test_what_a_relay_posts_decodes_to_what_was_meant(
    options: SimulationOptions, scenario: Scenario, seed: int, index: int
) -> None:
    life = life_of(options, scenario, seed, index)
    for sequence, fact in enumerate({delivery.fact for delivery in life.deliveries}):
        if fact.channel is Channel.RTC:
            body = bodies.rtc_message(life.identity, fact, sequence, SIGNED + 0.5)
            (message,) = registry.split_rtc(body)
            decoded = registry.decode_rtc(life.identity.source.vendor, message)
            assert decoded.payload == meant(fact, life, decoded)
            if life.identity.relay is None:
                assert decoded.relay is None
            else:
                assert decoded.relay == (life.identity.relay, sequence, SIGNED + 0.5)


@SEEDS
@given(scenario=SCENARIOS, seed=st.integers(0, 2**32), index=st.sampled_from((0, 2, 4)))
def test_registrations_decode_to_what_was_meant(
    options: SimulationOptions, scenario: Scenario, seed: int, index: int
) -> None:
    life = life_of(options, scenario, seed, index)
    for fact in {delivery.fact for delivery in life.deliveries}:
        if fact.channel is Channel.API:
            vendor = life.identity.source.vendor
            job_id, reduced = registry.reduce_registration(vendor, bodies.registration(life.identity, fact))
            assert job_id == life.identity.job_id
            decoded = decode_reduced(reduced)
            expected = fact.payload._replace(room_id=life.identity.room_id)  # type: ignore[call-arg]
            assert decoded.payload == expected
            assert life.identity.secret.encode() not in reduced


@SEEDS
@given(scenario=SCENARIOS, seed=st.integers(0, 2**32), index=st.sampled_from((0, 2, 4)))
def test_a_registration_asks_for_nothing_that_the_vendor_would_refuse(
    options: SimulationOptions, scenario: Scenario, seed: int, index: int
) -> None:
    life = life_of(options, scenario, seed, index)
    for fact in {delivery.fact for delivery in life.deliveries}:
        if fact.channel is Channel.API:
            start_request(json.loads(bodies.registration(life.identity, fact))["request"])


def test_every_spelling_of_an_id_names_the_same_job() -> None:
    job_id = "26f065244f754b3aa853b649a21aaf66"
    spellings = {bodies.spelled(job_id, variant) for variant in range(256)}
    assert len(spellings) == 4
    assert {canonical_job_id(spelling) for spelling in spellings} == {job_id}


def test_all_encodings_and_keys_are_used(options: SimulationOptions) -> None:
    forms: Counter[str] = Counter()
    old_keys = {
        source.name: registry.verifier(source.model_copy(update={"keys": source.keys[-1:]}))
        for source in options.settings.sources
        if len(source.keys) > 1
    }
    by_old_key: Counter[str] = Counter()
    for seed in range(30):
        for index in range(5):
            life = life_of(options, Scenario.LOST, seed, index)
            for fact in {delivery.fact for delivery in life.deliveries}:
                if fact.channel is Channel.CALLBACK:
                    post = callback(life.identity, fact, "http://receiver.test", SIGNED)
                    shown = Request(urlsplit(post.url).query, post.headers, post.content)
                    forms[registry.verifier(life.identity.source)(shown).form] += 1
                    forms["printed"] += b'"{"' in post.content.replace(b" ", b"")
                    forms["object"] += b'"message":{' in post.content.replace(b" ", b"")
                    forms["data in a text"] += b'"data":"{' in post.content.replace(b" ", b"")
                    name = life.identity.source.name
                    with contextlib.suppress(KeyError, AuthenticationError):
                        by_old_key[name] += old_keys[name](shown).signed == SIGNED
    expected = ("stripped", "full_url", "body", "header", "none", "printed", "object", "data in a text")
    assert all(forms[form] > 0 for form in expected)
    assert set(+by_old_key) == set(old_keys) == {"meta-head", "sugar-signed"}


def test_a_job_id_survives_the_path_of_an_rtc_request() -> None:
    url = httpx.URL("http://receiver.test/rtc/source/26F06524-4F75-4B3A-A853-B649A21AAF66")
    assert (
        canonical_job_id(unquote(url.raw_path.decode()).split("/")[3]) == "26f065244f754b3aa853b649a21aaf66"
    )
