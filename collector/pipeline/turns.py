"""Work on the event loop that takes more than one turn: of all that a listener has left over, the loop does one piece in each.

Between two pieces it looks at its sockets. So what arrives anew, which is little for most clients, waits for one piece,
however many connections have much to do.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable


class Turns:
    """Connections of one listener that wait for their next turn, first come, first served. For the event loop."""

    def __init__(self) -> None:
        self._waiting: deque[Callable[[], None]] = deque()

    def wait(self, loop: asyncio.AbstractEventLoop, go_on: Callable[[], None]) -> None:
        """Call `go_on` when its turn has come: not in this turn of the loop."""
        if not self._waiting:
            loop.call_soon(self._next, loop)
        self._waiting.append(go_on)

    def _next(self, loop: asyncio.AbstractEventLoop) -> None:
        go_on = self._waiting.popleft()
        if self._waiting:
            loop.call_soon(self._next, loop)
        go_on()
