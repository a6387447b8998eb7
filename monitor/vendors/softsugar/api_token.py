"""SoftSugar's access tokens: one log-in or refresh for all who wait, before the old token expires.

A token lives about eight hours and comes with another one that refreshes it. The vendor refuses refreshes
that come too often, so one is asked for late, and where it is refused we log in again.
"""

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, NamedTuple

from pydantic import Field, SecretStr

from monitor.clock import Clock
from monitor.config import ApiSettings
from monitor.vendors.api_calls import Call
from monitor.vendors.api_errors import ApiError, UnreachableError, VendorTroubleError
from monitor.vendors.softsugar.api_body import CamelBody

LOGIN_PATH = "/api/uc/v1/access/api/token"
REFRESH_PATH = "/api/uc/v1/access/api/token/refresh"

RENEW_SECONDS = 600.0
"""A token is renewed this long before it expires, or a tenth of its life, whichever is less."""

RENEW_SHARE = 0.1

Lifetime = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class _Answered(CamelBody):
    """A log-in or a refresh. expires_in, refresh_token_expires_in: seconds."""

    access_token: SecretStr
    expires_in: Lifetime
    refresh_token: SecretStr | None = None
    refresh_token_expires_in: Lifetime | None = None


class Token(NamedTuple):
    """An access token, and what refreshes it. renew, expires, refresh_expires: Unix seconds."""

    access: SecretStr
    renew: float
    expires: float
    refresh: SecretStr | None
    refresh_expires: float


Post = Callable[[Call, SecretStr | None, type[_Answered]], Awaitable[_Answered]]
"""Sends a call with this text as its Authorization, and reads its data."""


class TokenKeeper:
    """Hands out a token that is valid, whoever asks.

    Args:
        settings: app_id and app_key.
        post: sends the log-in and the refresh.
        clock: tells when a token expires.
    """

    def __init__(self, settings: ApiSettings, post: Post, clock: Clock) -> None:
        self._settings = settings
        self._post = post
        self._clock = clock
        self._lock = asyncio.Lock()
        self._token: Token | None = None
        self._refresh_refused = False

    async def get(self) -> SecretStr:
        """Return a token that is valid now.

        Raises:
            ApiError: there is none, and none can be had.
        """
        token = self._token
        if token is not None and self._clock.now() < token.renew:
            return token.access
        async with self._lock:
            token = self._token
            now = self._clock.now()
            if token is None or now >= token.expires:
                self._token = token = await self._log_in_or_refresh(token, now)
            elif now >= token.renew:
                try:
                    self._token = token = await self._log_in_or_refresh(token, now)
                except ApiError:
                    # It isn't needed yet: half of the time that is left may go by before the next try.
                    self._token = token = token._replace(renew=(now + token.expires) / 2)
            return token.access

    def reject(self, access: SecretStr) -> None:
        """Forget a token that the vendor doesn't accept, unless it has been replaced meanwhile."""
        if self._token is not None and self._token.access == access:
            self._token = None

    async def _log_in_or_refresh(self, token: Token | None, now: float) -> Token:
        usable = token is not None and token.refresh is not None and now < token.refresh_expires
        if usable and not self._refresh_refused:
            assert token is not None
            try:
                return await self._refresh(token)
            except UnreachableError:
                # A log-in would hardly fare better now, but next time it isn't only this path that is tried.
                self._refresh_refused = True
                raise
            except ApiError as error:
                if isinstance(error, VendorTroubleError) and now < token.expires:
                    # There is time to see whether the vendor has trouble with more than this refresh.
                    raise
                # Too often (60112161), or the refresh token is of no use any more.
                self._refresh_refused = True
        token = await self._log_in()
        self._refresh_refused = False
        return token

    async def _log_in(self) -> Token:
        app_id, app_key = self._settings.app_id, self._settings.app_key
        assert app_id is not None
        assert app_key is not None
        timestamp = str(int(self._clock.now() * 1000))
        text = f"{app_id}{timestamp}{app_key.get_secret_value()}"
        body = {
            "appId": app_id,
            "timestamp": timestamp,
            "sign": hashlib.md5(text.encode(), usedforsecurity=False).hexdigest(),
            "grantType": "sign",
        }
        return self._read(await self._post(_call(LOGIN_PATH, body, "log in"), None, _Answered))

    async def _refresh(self, token: Token) -> Token:
        body = {"appId": self._settings.app_id, "grantType": "refreshToken"}
        answered = await self._post(_call(REFRESH_PATH, body, "refresh"), token.refresh, _Answered)
        fresh = self._read(answered)
        if fresh.refresh is None:
            # The vendor's page doesn't say whether a refresh brings a new one.
            fresh = fresh._replace(refresh=token.refresh, refresh_expires=token.refresh_expires)
        return fresh

    def _read(self, answered: _Answered) -> Token:
        now = self._clock.now()
        expires = now + answered.expires_in
        ahead = min(RENEW_SECONDS, RENEW_SHARE * answered.expires_in)
        refresh_expires = now + (answered.refresh_token_expires_in or 0.0)
        return Token(answered.access_token, expires - ahead, expires, answered.refresh_token, refresh_expires)


def _call(path: str, body: dict[str, Any], name: str) -> Call:
    # Asking twice is as good as once for a log-in; a refresh is limited, and a second one refused.
    return Call("POST", path, body=json.dumps(body).encode(), repeatable=path == LOGIN_PATH, name=f"({name})")
