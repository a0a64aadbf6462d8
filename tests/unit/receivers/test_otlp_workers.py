"""The worker pool."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from collector.receivers.otlp.workers import WorkerPool
from tests.support.eventually import eventually


class Threads:
    """Spawns, and remembers."""

    def __init__(self) -> None:
        self.started: list[threading.Thread] = []

    def spawn(self, name: str, body: Callable[[], None]) -> threading.Thread:
        thread = threading.Thread(target=body, name=name, daemon=True)
        self.started.append(thread)
        thread.start()
        return thread


def test_worker_pool_returns_what_the_work_returns_or_raises() -> None:
    """A future tells the outcome."""
    pool = WorkerPool(Threads().spawn, "w", 2)
    assert pool.submit(pow, 2, 10).result(20) == 1024
    with pytest.raises(ZeroDivisionError):
        pool.submit(divmod, 1, 0).result(20)
    pool.shutdown()


def test_worker_pool_starts_a_thread_only_when_none_is_idle() -> None:
    """A quiet receiver has one worker, not eight."""
    threads = Threads()
    pool = WorkerPool(threads.spawn, "w", 8)
    for _ in range(20):
        pool.submit(int).result(20)
        eventually(lambda: pool._idle == 1)
    assert len(threads.started) == 1
    pool.shutdown()


def test_worker_pool_works_on_as_much_at_once_as_it_has_workers() -> None:
    """All workers work in parallel, and what is beyond waits and is done later."""
    threads = Threads()
    pool = WorkerPool(threads.spawn, "w", 3)
    together = threading.Barrier(4)
    blocked = [pool.submit(together.wait, 20) for _ in range(3)]
    later = pool.submit(int, "7")
    assert not later.done()
    together.wait(20)
    assert {future.result(20) for future in blocked} <= {0, 1, 2, 3}
    assert later.result(20) == 7
    assert len(threads.started) == 3
    pool.shutdown()


def test_worker_pool_shutdown_finishes_the_work_in_line_and_ends_the_threads() -> None:
    """Accepted work is done; new work is refused; twice is once."""
    threads = Threads()
    pool = WorkerPool(threads.spawn, "w", 1)
    futures = [pool.submit(int, number) for number in range(50)]
    pool.shutdown()
    pool.shutdown()
    assert [future.result(0) for future in futures] == list(range(50))
    assert not any(thread.is_alive() for thread in threads.started)
    with pytest.raises(RuntimeError, match="shut down"):
        pool.submit(int)


def test_worker_pool_gives_each_owner_a_turn() -> None:
    """Ten pieces of one owner hold up another by the one that is being worked on, and the one after it."""
    pool = WorkerPool(Threads().spawn, "w", 1)
    go, done = threading.Event(), list[str]()
    pool.submit(go.wait, 20)
    works = [pool.submit_for("greedy", done.append, "greedy") for _ in range(10)]
    works += [pool.submit_for("modest", done.append, "modest") for _ in range(2)]
    go.set()
    for work in works:
        work.result(20)
    assert done[:4] == ["greedy", "modest", "greedy", "modest"]
    assert len(done) == 12
    pool.shutdown()
