"""`Reader`: a store with the manners that every question needs, so that functions take one argument."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from collector.model.clock import Clock
from collector.query.dialect import Dialect
from collector.query.when import When, Window
from collector.storage.store import Store


@dataclass(frozen=True, slots=True)
class Reader:
    """An open store, its dialect, the clock that relative times are counted from, and how long a query may take."""

    store: Store
    dialect: Dialect
    clock: Clock
    timeout_s: float | None

    def rows(self, sql: str, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """Run one statement that reads."""
        return self.store.query(sql, parameters, timeout_s=self.timeout_s).rows

    def window(self, start: When | None, end: When | None) -> Window:
        """Read both ends of a window; see `when`."""
        return Window.of(start, end, self.clock)
