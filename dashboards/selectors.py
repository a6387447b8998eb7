"""What queries have in common: the matchers of the variables, and how one stream's series become one.

Two processes may export the same stream for a moment, so a gauge of a stream is the largest of its series.
"""

PROCESSES = 'job=~"$job", instance=~"$instance"'
"""Series of the service's own."""

RECEIVERS = f'{PROCESSES}, listener="receiver"'
"""Series of the servers that face the vendors."""

SOURCES = f'{PROCESSES}, source=~"$source"'
"""Series with a source and no vendor."""

FLEET = f'{PROCESSES}, vendor=~"$vendor", source=~"$source"'
"""Series of the chosen sources."""

STREAM = f'{FLEET}, job_id="$stream"'
"""Series of the chosen stream. Of a variable with a single value Grafana escapes no character that means
something to a regular expression, and an id may have any."""

BY_STREAM = "vendor, source, job_id"


def of_streams(name: str, matchers: str = "", *, also_by: str = "") -> str:
    """Return a gauge of the fleet, one series a stream; also_by: further labels that are kept."""
    more = f", {matchers}" if matchers else ""
    labels = f"{BY_STREAM}, {also_by}" if also_by else BY_STREAM
    return f"max by ({labels}) ({name}{{{FLEET}{more}}})"


def of_stream(name: str) -> str:
    """Return a gauge of the chosen stream, one series."""
    return f"max({name}{{{STREAM}}})"


ZERO = f"max(monitor_build_info{{{PROCESSES}}}) * 0"
"""0 while a process of the service answers: of one that is away it would be a claim that nobody can make."""


def or_zero(query: str) -> str:
    """Return a query of one series that is 0 where nothing has happened yet."""
    return f"({query}) or {ZERO}"


def or_none(query: str, label: str, word: str) -> str:
    """Return a query that is 0 for a word of its label where nothing has happened yet."""
    return f'({query}) or label_replace({ZERO}, "{label}", "{word}", "", "")'


def or_zero_by_source(query: str) -> str:
    """Return a query by vendor and source that is 0 for a source where nothing has happened yet."""
    return f"({query}) or sum by (vendor, source) (monitor_streams{{{FLEET}}}) * 0"


def rate(name: str, matchers: str, by: str) -> str:
    """Return how much a counter rises each second, by some labels."""
    return f"sum by ({by}) (rate({name}{{{matchers}}}[$__rate_interval]))"


def quantile(share: float, name: str, matchers: str) -> str:
    """Return a quantile; 0 where nothing was observed, of which the quantile isn't a number."""
    asked = (
        f"histogram_quantile({share:g}, sum by (le) (rate({name}_bucket{{{matchers}}}[$__rate_interval])))"
    )
    return or_zero(f"{asked} >= 0")
