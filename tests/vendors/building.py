"""Sources for tests of the vendors, and the samples that several of them start from."""

from typing import Any

from monitor.config import AuthType, Source
from monitor.event import Vendor

KEY = "GCTbw44s6MPLh4GqgDpnfuFHgy25Enly"
OTHER_KEY = "0ldKeyOfLastYear0ldKeyOfLastYear"
JOB = "e87104f76d7546ce8a46ac6b04c49c3c"
ROOM = "26f065244f754b3aa853b649a21aaf66"
SOFTSUGAR_URL = "https://www.example.com/your/callback"


def metastudio(
    auth_type: AuthType = AuthType.NONE,
    keys: tuple[str, ...] = (KEY,),
    public_url: str = "https://hooks.example.com/callbacks/metastudio",
) -> Source:
    return Source.model_validate(
        {
            "name": "metastudio",
            "vendor": Vendor.METASTUDIO,
            "public_url": public_url,
            "auth_type": auth_type,
            "keys": keys,
        }
    )


def softsugar(keys: tuple[str, ...] = (), fields: dict[str, Any] | None = None) -> Source:
    return Source.model_validate(
        {
            "name": "softsugar",
            "vendor": Vendor.SOFTSUGAR,
            "public_url": SOFTSUGAR_URL,
            "keys": keys,
            "fields": fields or {},
        }
    )
