"""An answer in one piece, where uvicorn writes its head and its body apart."""

import asyncio

HELD_BYTES = 16384
"""What may wait for the end of a turn of the event loop: head and body of an answer, as a rule."""


class JoinedWrites:
    """A transport that sends in one piece what is written until somebody flushes, or in one turn of the loop.

    uvicorn writes an answer's head and its body apart. A socket takes both at once, so that each would be
    a system call and a packet of its own: a tenth of all the work on a callback.

    Args:
        transport: does everything else.
        loop: whose turns count.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._held: list[bytes] = []
        self._size = 0
        self.is_closing = transport.is_closing

    def write(self, data: bytes) -> None:
        """Send when this turn is over, or at once if too much waits."""
        if self._size + len(data) > HELD_BYTES:
            # Now the transport must say whether its client takes any more.
            self.flush()
            self._transport.write(data)
            return
        if not self._held:
            self._loop.call_soon(self.flush)
        self._held.append(data)
        self._size += len(data)

    def close(self) -> None:
        """Close behind what was written."""
        self.flush()
        self._transport.close()

    def flush(self) -> None:
        """Send what waits."""
        held, self._held, self._size = self._held, [], 0
        if held and not self._transport.is_closing():
            # Not `writelines`: asyncio's own, in early Pythons 3.12 and 3.13, never makes a writer wait.
            self._transport.write(b"".join(held))
