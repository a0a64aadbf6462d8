"""One graph in the place of another, under load.

What is new starts beside what runs; if it cannot, it is stopped again and nothing has changed. Then inlets and
senders that both have are turned over to the new graph, each at one moment. What only the old one had is stopped last,
in the order in which data flows, when no request is on its way through it.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final

from collector.service.graph import Parts, shut_down

if TYPE_CHECKING:
    from collections.abc import Iterable

    from collector.model.signal import Signal
    from collector.pipeline.component import Thread
    from collector.pipeline.inlet import Way
    from collector.service.graph import Graph, SenderNode

# Requests pass the processors in milliseconds. One that takes longer than this will find a queue that is closed, and
# its client is told to come again.
_PASSING_S: Final = 10.0


class Replacement:
    """`new` in the place of `old`. `begin`, then `retire`; both in the main thread, and quick."""

    def __init__(self, old: Graph, new: Graph) -> None:
        self._house = new.house
        self._new = new
        self._kept = [node for key, node in new.senders.items() if _same(old.senders.get(key), node)]
        self._arriving = _difference(new, old)
        self._leaving = _difference(old, new)
        self._ways: list[Way] = []
        self._successions: list[threading.Event] = []
        self._until = 0.0
        self._thread: Thread | None = None

    @property
    def leaving(self) -> list[SenderNode]:
        """The senders that the new graph has not."""
        return self._leaving.senders

    @property
    def moving(self) -> list[SenderNode]:
        """The senders that only one of the graphs has."""
        return self._arriving.senders + self._leaving.senders

    def begin(self, others: Iterable[Replacement]) -> Graph:
        """Start what is new, and turn to it. Returns the new graph, which runs.

        Args:
            others: Replacements before this one. A queue that one of them is still draining, and that is wanted
                again, is let go of at once.

        Raises:
            StartError: something cannot start. All is as before.
        """
        wanted = {_queue_of(node) for node in self._arriving.senders if node.directory is not None}
        for other in others:
            for node in other.leaving:
                if _queue_of(node) in wanted:
                    node.component.drain(self._house.clock.monotonic())
                    node.component.shutdown()
        self._arriving.start(self._house)
        for (exporter_id, _), node in self._new.senders.items():
            if node in self._kept:
                exporter: Any = self._new.exporters[exporter_id].component
                config = self._new.exporters[exporter_id].entry.config
                limits = node.limits.spread(self._house.rng)
                self._successions.append(node.component.adjust(exporter, config, limits))
        for receiver in self._new.receivers.values():
            if receiver not in self._arriving.receivers:
                self._ways += [
                    receiver.inlets[signal].exchange(head) for signal, head in receiver.heads.items()
                ]
        return self._new

    def retire(self, until: float) -> None:
        """Stop what is not needed any more, in a thread; what its queues hold has until `until` (monotonic)."""
        self._until = until
        self._thread = self._house.spawn("reload", self._retire)

    def finished(self) -> bool:
        """Whether the thread of `retire` has ended."""
        return self._thread is None or not self._thread.is_alive()

    def wait(self, until: float) -> None:
        """Wait for that, giving what still drains no more time than `until`."""
        for node in self._leaving.senders:
            node.component.drain(until)
        if self._thread is not None:
            self._thread.join(max(0.0, until - self._house.clock.monotonic()))

    def _retire(self) -> None:
        leaving = self._leaving
        shut_down(self._house, leaving.receivers)
        for way in self._ways:
            way.wait_until_empty(_PASSING_S)
        shut_down(self._house, leaving.processors)
        for node in leaving.senders:
            node.component.drain(self._until)
        shut_down(self._house, leaving.senders)
        for node in leaving.senders:
            if node.queue.durable and node.queue.items:
                self._house.log.warning(
                    "A queue is left on disk: no exporter of this configuration reads it.",
                    exporter=node.status.key.name,
                    otel_signal=node.signal.value,
                    directory=str(node.directory),
                    items=node.queue.items,
                )
        for succession in self._successions:
            succession.wait(max(0.0, self._until - self._house.clock.monotonic()))
        shut_down(self._house, leaving.exporters)
        shut_down(self._house, leaving.extensions)


def _same(before: SenderNode | None, after: SenderNode) -> bool:
    return before is not None and before.component is after.component


def _difference(graph: Graph, other: Graph) -> Parts:
    """The parts of `graph` whose components `other` has not."""
    has = {id(node.component) for node in other.parts()}
    parts = graph.parts()
    return Parts(
        extensions=[node for node in parts.extensions if id(node.component) not in has],
        exporters=[node for node in parts.exporters if id(node.component) not in has],
        senders=[node for node in parts.senders if id(node.component) not in has],
        processors=[node for node in parts.processors if id(node.component) not in has],
        receivers=[node for node in parts.receivers if id(node.component) not in has],
    )


def _queue_of(node: SenderNode) -> tuple[str, Signal, str]:
    return node.status.key.name, node.signal, str(node.directory)
