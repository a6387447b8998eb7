"""How SoftSugar spells its fields: sessionId here is session_id in Python."""

from pydantic import ConfigDict
from pydantic.alias_generators import to_camel

from monitor.vendors.json_body import Body


class CamelBody(Body):
    """A JSON object whose fields the vendor writes in camel case."""

    model_config = ConfigDict(alias_generator=to_camel)
