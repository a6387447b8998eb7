"""MetaStudio's callbacks carry no error codes; its API's (`MSS.…`) are no numbers."""

_CATEGORIES: dict[int, str] = {}


def error_category(code: int) -> str | None:
    """Say whose business an error is; None, since no code is published."""
    return _CATEGORIES.get(code)


def alerting_codes() -> tuple[tuple[int, str], ...]:
    """Return the codes that somebody on call must see: none."""
    return ()
