"""The end of a component that has a thread at work in a store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collector.pipeline.component import Thread
    from collector.storage.store import Store

# How long a thread may take to notice that its store was closed. An attempt to connect cannot be cut short.
_NOTICE_S: Final = 1.0


def close_under(store: Store, thread: Thread | None, patience_s: float = 0.0) -> bool:
    """Close `store`, in the middle of whose use `thread` may be; it has been told to end.

    What it does may take long, as an upgrade does, or for ever, with a server that does not answer: a stop must not.

    Args:
        store: Is closed.
        thread: Ends soon when its store is closed.
        patience_s: How long it may go on before.

    Returns:
        Whether it has ended. One that has not is left alone.
    """
    if thread is None:
        store.close()
        return True
    if patience_s:
        thread.join(patience_s)
    store.close()
    thread.join(_NOTICE_S)
    store.close()  # which it may have opened again
    return not thread.is_alive()
