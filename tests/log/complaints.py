"""What the event loop complains of: failures that nobody has asked for."""

import asyncio
from typing import Any


def noted_complaints() -> list[dict[str, Any]]:
    """Return where the event loop's complaints of this test go."""
    complaints = list[dict[str, Any]]()
    asyncio.get_running_loop().set_exception_handler(lambda _, complaint: complaints.append(complaint))
    return complaints
