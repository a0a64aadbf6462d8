"""The event loop, and the sockets on it: compiled ones where there are, else Python's own.

What the compiled ones save is said in `_native/sockets.pyx`.
"""

from __future__ import annotations

import asyncio
import importlib.util
import selectors
import socket
from typing import TYPE_CHECKING, Any

from collector.version import native

if TYPE_CHECKING:
    from collections.abc import Callable

_make_loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.SelectorEventLoop
_make_listening: type[socket.socket] = socket.socket

# Only Linux has epoll.
if native() and importlib.util.find_spec("collector._native.sockets"):
    from collector._native.sockets import Connected, Epoll, Listening

    class _Selector(selectors.EpollSelector):
        _selector_cls = Epoll

    class _Loop(asyncio.SelectorEventLoop):
        """Other threads wake it through a pair of sockets: those are compiled ones as well."""

        def __init__(self) -> None:
            super().__init__(_Selector())
            for name in ("_ssock", "_csock"):
                plain: Any = getattr(self, name, None)
                if plain is not None:
                    setattr(self, name, Connected(plain.family, plain.type, plain.proto, plain.detach()))

    _make_loop, _make_listening = _Loop, Listening


def new_event_loop() -> asyncio.AbstractEventLoop:
    """An event loop for a thread of its own."""
    return _make_loop()


def listening(plain: socket.socket) -> socket.socket:
    """The same socket, as the loop serves it best. `plain` is not to be used any more."""
    made = _make_listening(plain.family, plain.type, plain.proto, plain.detach())
    made.setblocking(False)
    return made
