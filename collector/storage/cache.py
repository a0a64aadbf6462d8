"""A bounded dictionary that forgets what has not been asked for."""

from __future__ import annotations

from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Cache(Generic[K, V]):
    """Holds at most `entries_max` entries in two generations.

    What is used moves to the young one; when that is half of the bound, the old one is forgotten and the young one
    grows old. As good as least-recently-used here, and a hit in the young generation costs one dictionary lookup.
    Not thread-safe.
    """

    __slots__ = ("_half", "_old", "_young")

    def __init__(self, entries_max: int) -> None:
        self._half = max(1, entries_max // 2)
        self._young: dict[K, V] = {}
        self._old: dict[K, V] = {}

    def get(self, key: K) -> V | None:
        """Return the value of `key`, or None."""
        value = self._young.get(key)
        if value is None:
            value = self._old.get(key)
            if value is not None:
                self.put(key, value)
        return value

    def put(self, key: K, value: V) -> None:
        """Remember `value`, which is not None."""
        if len(self._young) >= self._half:
            self._old = self._young
            self._young = {}
        self._young[key] = value

    def clear(self) -> None:
        """Forget everything."""
        self._young.clear()
        self._old.clear()

    def __len__(self) -> int:
        return len(self._young.keys() | self._old.keys())
