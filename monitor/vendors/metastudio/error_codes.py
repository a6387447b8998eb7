"""MetaStudio's callbacks carry no error codes; its API's (`MSS.…`) are no numbers."""


def error_category(code: int) -> None:
    """Say whose business an error is: nobody knows, since no code is published."""
    del code


def error_message(code: int) -> None:
    """Say what an error means: nobody knows, since no code is published."""
    del code


def alerting_codes() -> tuple[tuple[int, str], ...]:
    """Return the codes that somebody on call must see: none."""
    return ()
