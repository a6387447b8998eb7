from codecs import BOM_UTF8

import pytest

from monitor.errors import UndecodableError
from monitor.event import Channel, Event, EventId, Vendor
from monitor.vendors import registry
from monitor.vendors.registration import decode_reduced
from tests.vendors.building import JOB, metastudio, softsugar


def test_every_vendor_is_known() -> None:
    assert set(Vendor) == set(registry.VENDORS)


def test_an_event_of_an_unknown_kind_on_the_api_channel_is_undecodable() -> None:
    event = Event(
        EventId("r", 1, 1), Vendor.METASTUDIO, "metastudio", JOB, Channel.API, "unknown", 1.0, None, b"{}"
    )

    with pytest.raises(UndecodableError) as caught:
        registry.decode(event, metastudio())

    assert caught.value.reason == "wrong_type"


def test_an_rtc_message_for_softsugar_is_undecodable() -> None:
    with pytest.raises(UndecodableError) as caught:
        registry.decode_rtc(Vendor.SOFTSUGAR, b'{"message_type":"live_progress_notify"}')

    assert caught.value.reason == "wrong_type"


def test_a_kept_registration_without_a_job_is_undecodable() -> None:
    with pytest.raises(UndecodableError) as caught:
        decode_reduced(b"{}")

    assert caught.value.reason == "no_job_id"


def test_an_errors_category_is_its_vendors() -> None:
    assert registry.error_category(Vendor.SOFTSUGAR, 80115962) == "quota"
    assert registry.error_category(Vendor.SOFTSUGAR, 12345) == "unknown"
    assert registry.error_category(Vendor.METASTUDIO, 80115962) == "unknown"


def test_the_codes_that_alert_come_with_their_category() -> None:
    codes = dict(registry.alerting_codes(Vendor.SOFTSUGAR))

    assert {codes[80115947], codes[80115964]} == {"capacity"}
    assert {codes[code] for code in (80115962, 80115963, 80115983, 84115944, 89999999)} == {"quota"}
    assert registry.alerting_codes(Vendor.METASTUDIO) == ()


def test_a_byte_order_mark_before_a_body_is_passed_over() -> None:
    callback = b'{"event_type":"NEW","message":{"job_id":"%s"}}' % JOB.encode()
    progress = b'{"message_type":"NEW"}'
    start = b'{"response":{"job_id":"%s"}}' % JOB.encode()

    for source, body in ((metastudio(), callback), (softsugar(), b'{"sessionId":"s","status":35}')):
        assert registry.decode_callback(source, BOM_UTF8 + body) == registry.decode_callback(source, body)
    vendor = Vendor.METASTUDIO
    assert registry.decode_rtc(vendor, BOM_UTF8 + progress) == registry.decode_rtc(vendor, progress)
    registered = registry.reduce_registration(vendor, BOM_UTF8 + start)
    assert registered == registry.reduce_registration(vendor, start)
