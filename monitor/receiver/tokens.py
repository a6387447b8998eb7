"""Per-job RTC tokens: what a page in an RTC room gets, so that it can tell of its own job only.

A token is `<expiry>.<signature>`: the expiry in Unix seconds, the signature an HMAC-SHA256 in URL-safe
base64 over source, job and expiry. The key is the source's rtc_token; who holds that is a server and
may use it as it is, for any job. A short rtc_token could be guessed from a per-job token at leisure, so
it should be random and long.
"""

import base64
import hashlib
import hmac
import re

from pydantic import SecretStr

from monitor.event import canonical_job_id

_TOKEN = re.compile(r"([0-9]{1,12})\.([A-Za-z0-9_-]{43})")


def make_token(rtc_token: SecretStr, source: str, job_id: str, expires: int) -> str:
    """Return a token for one job.

    Args:
        rtc_token: the source's.
        source: its name.
        job_id: in any spelling.
        expires: Unix seconds from which on the token is refused.
    """
    return f"{expires}.{_signature(rtc_token, source, job_id, expires)}"


def is_token_valid(rtc_token: SecretStr, token: str, source: str, job_id: str, now: float) -> bool:
    """Tell whether a bearer token lets its sender speak for a job: the source's own, or one made for it.

    Compares in constant time. now: Unix seconds.
    """
    if hmac.compare_digest(token.encode(), rtc_token.get_secret_value().encode()):
        return True
    parts = _TOKEN.fullmatch(token)
    if parts is None:
        return False
    expires = int(parts[1])
    signature = _signature(rtc_token, source, job_id, expires)
    return hmac.compare_digest(parts[2], signature) and now < expires


def _signature(rtc_token: SecretStr, source: str, job_id: str, expires: int) -> str:
    # Each part with its length before it: no choice of source and job can pass for another.
    parts = [b"rtc token", source.encode(), canonical_job_id(job_id).encode(), str(expires).encode()]
    text = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    digest = hmac.new(rtc_token.get_secret_value().encode(), text, hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
