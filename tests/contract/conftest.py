"""Fixtures of the contract suites."""

from __future__ import annotations

from tests.support.stores import (
    empty_store,
    lasting_store_url,
    memory_url,
    refresh_rollups,
    sqlite_url,
    store,
    store_url,
)

__all__ = [
    "empty_store",
    "lasting_store_url",
    "memory_url",
    "refresh_rollups",
    "sqlite_url",
    "store",
    "store_url",
]
