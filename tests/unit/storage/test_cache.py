"""The bounded dictionary."""

from __future__ import annotations

from collector.storage.cache import Cache


def test_cache_returns_what_was_put() -> None:
    """And None for what was not."""
    cache: Cache[str, int] = Cache(10)
    cache.put("a", 1)
    assert (cache.get("a"), cache.get("b")) == (1, None)


def test_cache_holds_no_more_than_its_bound() -> None:
    """However much is put in."""
    cache: Cache[int, int] = Cache(10)
    for number in range(1000):
        cache.put(number, number)
        assert len(cache) <= 10
    assert cache.get(999) == 999


def test_cache_keeps_what_is_used() -> None:
    """An entry that is asked for outlives any number that are not."""
    cache: Cache[int, int] = Cache(10)
    cache.put(-1, 7)
    for number in range(1000):
        cache.put(number, number)
        assert cache.get(-1) == 7
    assert cache.get(5) is None


def test_cache_forgets_everything_when_cleared() -> None:
    """In both generations."""
    cache: Cache[int, int] = Cache(4)
    for number in range(4):
        cache.put(number, number)
    cache.clear()
    assert [cache.get(number) for number in range(4)] == [None] * 4
