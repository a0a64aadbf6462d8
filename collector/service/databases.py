"""What an exporter's database is, for people: /database/info and the start banner. No secret comes out of here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from collector.model.errors import TelemetryError

if TYPE_CHECKING:
    from collector.storage.balance import BalanceWatch
    from collector.storage.store import Store


@runtime_checkable
class StoreExporter(Protocol):
    """An exporter that writes to a `Store`, and looks now and then whether the costs in it add up."""

    @property
    def store(self) -> Store:
        """The store."""
        ...

    @property
    def balance(self) -> BalanceWatch:
        """What it saw last."""
        ...


def destination(config: Any) -> str:
    """Where an exporter with this config sends data, as its options say: a URL without password, or a path."""
    for name in ("connection_string", "path", "directory"):
        value = getattr(config, name, None)
        if value:
            return str(value)  # a ConnectionString prints without its password
    return "this process's output" if hasattr(config, "verbosity") else "this process's memory"


def database_info(name: str, exporter: object, config: Any) -> dict[str, object] | None:
    """Ask the database behind an exporter what it is; None if the exporter has none. Blocks until it answers."""
    if not isinstance(exporter, StoreExporter):
        return None
    store = exporter.store
    info: dict[str, object] = {
        "exporter": name,
        "destination": destination(config),
        "backend": store.dialect,
    }
    try:
        schema = store.schema_status()
        arrival = store.arrival() if schema.usable else ""
    except TelemetryError as error:
        # The reason is one of a few words; a driver's message could quote the connection string.
        return info | {"reachable": False, "reason": error.reason}
    return info | {
        "reachable": True,
        "edition": store.edition,
        **({"rows_are_stored": arrival} if arrival else {}),
        **_costs(exporter.balance),
        "schema": {
            "current": schema.current,
            "expected": schema.expected,
            "usable": schema.usable,
            "pending": [f"{migration.version:04} {migration.name}" for migration in schema.pending],
        },
    }


def _costs(watch: BalanceWatch) -> dict[str, object]:
    """Whether costs add up, where they are written."""
    last = watch.last
    if last is None:
        return {}
    return {
        "costs": {
            "balanced": not last.unbalanced,
            "unbalanced_amounts": last.unbalanced,
            "checked_unix_nano": last.checked_unix_nano,
        }
    }
