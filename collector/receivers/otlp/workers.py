"""Threads that work on requests: an `Executor` whose threads are supervised."""

from __future__ import annotations

import queue
import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, ParamSpec, TypeVar

from collector.pipeline.component import Thread

P = ParamSpec("P")
T = TypeVar("T")


class WorkerPool(Executor):
    """At most `workers` threads, each started when work finds no idle one. Work beyond that waits in line.

    Owners take turns: who has brought much work holds up nobody else by more than one piece of it. The line has no
    bound of its own: the bodies that wait in it are within the byte budget, and their number is bounded by connections
    times streams.
    """

    def __init__(self, spawn: Callable[[str, Callable[[], None]], Thread], name: str, workers: int) -> None:
        self._spawn = spawn
        self._name = name
        self._workers = workers
        self._lock = threading.Lock()
        self._waiting: OrderedDict[object, deque[Callable[[], None]]] = (
            OrderedDict()
        )  # whose turn it is first
        self._line: queue.SimpleQueue[bool] = queue.SimpleQueue()  # for each that waits: True; False: the end
        self._threads: list[Thread] = []
        self._idle = 0  # workers that wait, less the work that is in line for them
        self._closed = False

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run `fn` in a worker, for no owner in particular.

        Raises:
            RuntimeError: the pool is shut down.
        """
        return self.submit_for(None, fn, *args, **kwargs)

    def submit_for(
        self, owner: object, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> Future[T]:
        """The same for `owner`."""
        future: Future[T] = Future()

        def work() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = fn(*args, **kwargs)
            except BaseException as error:  # noqa: BLE001  the future's owner handles it
                future.set_exception(error)
            else:
                future.set_result(result)

        with self._lock:
            if self._closed:
                raise RuntimeError("the worker pool is shut down")
            self._idle -= 1
            if self._idle < 0 and len(self._threads) < self._workers:
                self._idle += 1
                self._threads.append(self._spawn(f"{self._name}-{len(self._threads)}", self._run))
            self._waiting.setdefault(owner, deque()).append(work)
        self._line.put(True)
        return future

    def _run(self) -> None:
        while self._line.get():
            work = self._next()
            work()
            del work  # an idle worker must not keep the last request's bytes alive
            with self._lock:
                self._idle += 1

    def _next(self) -> Callable[[], None]:
        with self._lock:
            owner, works = self._waiting.popitem(last=False)
            work = works.popleft()
            if works:
                self._waiting[owner] = works
        return work

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the threads after the work in line. Safe twice."""
        with self._lock:
            if self._closed:
                threads: list[Any] = []
            else:
                self._closed = True
                threads = list(self._threads)
                for _ in threads:
                    self._line.put(False)
        if wait:
            for thread in threads:
                thread.join()
