"""From a source to its vendor's API; apart from the registry, since only few processes call an API."""

import random
from collections.abc import Callable, Iterable
from typing import Any

from monitor.clock import Clock
from monitor.config import Source
from monitor.errors import ConfigurationError
from monitor.event import Vendor
from monitor.vendors.api_protocol import VendorApi
from monitor.vendors.api_transport import Patience, RateLimit, Transport
from monitor.vendors.metastudio import api_jobs as metastudio
from monitor.vendors.softsugar import api_jobs as softsugar

_OPEN: dict[Vendor, Callable[[Source, Transport, Clock, frozenset[str]], VendorApi]] = {
    Vendor.METASTUDIO: metastudio.open_api,
    Vendor.SOFTSUGAR: softsugar.open_api,
}
_CALLBACKS: dict[Vendor, Callable[[Source], dict[str, Any]]] = {
    Vendor.METASTUDIO: metastudio.callbacks_to,
    Vendor.SOFTSUGAR: softsugar.callbacks_to,
}

USUAL_PATIENCE = Patience()


def open_api(
    source: Source,
    clock: Clock,
    rng: random.Random,
    rate: RateLimit,
    patience: Patience = USUAL_PATIENCE,
    other_urls: frozenset[str] = frozenset(),
) -> VendorApi:
    """Return the API of a source's account. Nothing is sent before the first call.

    Args:
        source: with `[sources.api]`.
        clock: dates signatures, and tells when tokens expire.
        rng: jitters waits.
        rate: how fast to ask.
        patience: how long to wait.
        other_urls: where callbacks of other sources go, which may share the account.

    Raises:
        ConfigurationError: the source has no `[sources.api]`, or the environment names a proxy or
            certificates that can't be used.
    """
    if source.api is None:
        raise ConfigurationError(
            [f"source {source.name}: has no [sources.api], so its vendor can't be asked"]
        )
    transport = Transport(source.api.endpoint, patience, rate, rng, clock)
    return _OPEN[source.vendor](source, transport, clock, other_urls)


def lists_jobs_of_others(source: Source, sources: Iterable[Source]) -> bool:
    """Tell whether what the API lists may be another source's, and nothing says whose it is.

    A MetaStudio job names its callback URL; a SoftSugar session names nothing.

    Args:
        source: whose API lists.
        sources: all that are configured.
    """
    if source.vendor is not Vendor.SOFTSUGAR or source.api is None:
        return False
    others = (other.api for other in sources if other.name != source.name)
    return any(api is not None and api.account == source.api.account for api in others)


def callbacks_to(source: Source) -> dict[str, Any]:
    """Return the part of a start that makes the vendor call back to this source; empty if it has none."""
    return _CALLBACKS[source.vendor](source)
