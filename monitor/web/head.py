"""Answers HEAD like GET on every path, as HTTP asks of a server: so some ask whether a page is there."""

from starlette.types import ASGIApp, Receive, Scope, Send


class HeadAsGet:
    """Lets the application take HEAD for GET; that an answer to it has no body is the server's business.

    A live feed never ends, so there is nothing to tell of it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] == "http" and scope["method"] == "HEAD" and not _is_feed(scope["path"]):
            scope = {**scope, "method": "GET"}
        await self._app(scope, receive, send)


def allowed(path: str) -> str:
    """Return the methods, as `Allow` tells them, of a path whose route answers GET."""
    return "GET" if _is_feed(path) else "GET, HEAD"


def _is_feed(path: str) -> bool:
    return path.endswith("/live")
