"""How a component declares its options: a frozen dataclass of `option(...)` fields. There is no other list.

    @dataclass(frozen=True, slots=True, kw_only=True)
    class BatchConfig:
        '''Batch by size and time.'''

        send_batch_size: int = option(8192, doc="Items that make a batch.", minimum=0, aliases=("batch_size",))
        timeout: Duration = option(Duration(0.2), doc="Longest wait of an item.")
        UNSUPPORTED: ClassVar = (Unsupported("metadata_keys", "batches would be kept apart by client metadata"),)

        def validate(self) -> Iterator[Invalid]:
            if ...:
                yield Invalid("send_batch_max_size", "must not be less than send_batch_size")

Field types understood by `config.decode`: str, int, float, bool, Decimal, date, Duration, ByteSize, Secret, Path,
ComponentID references as str, Literal[...], enums by value, `X | None`, tuple[X, ...], Mapping[str, X], nested dataclasses.
`X | None` with a nested dataclass: the key with an empty body means "with its defaults", as in otelcol.
A field `place: Place | None = field(init=False, default=None, compare=False)` is no option: it is told where it is written.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Unsupported:
    """An option of otelcol's that is known here and not supported. `effect`: what it would have changed."""

    key: str
    effect: str
    harmless: bool = False  # True: a warning, the configuration still works as its author expects


@dataclass(frozen=True, slots=True)
class Invalid:
    """A finding of a config's own `validate()`: `key` is the option (dotted if nested), "" the whole."""

    key: str
    message: str


METADATA_KEY: Final = "collector.option"


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """What `option(...)` recorded about a field."""

    doc: str
    minimum: float | None
    maximum: float | None
    aliases: tuple[str, ...]
    example: str | None
    parse: Callable[[Any], Any] | None  # last say over the decoded scalar; raises ValueError


def option(
    default: Any = dataclasses.MISSING,
    *,
    doc: str,
    default_factory: Callable[[], Any] | None = None,
    minimum: float | None = None,
    maximum: float | None = None,
    aliases: Iterable[str] = (),
    example: str | None = None,
    parse: Callable[[Any], Any] | None = None,
) -> Any:
    """Declare one option. Without a default it is required."""
    metadata = {
        METADATA_KEY: Option(
            doc=doc, minimum=minimum, maximum=maximum, aliases=tuple(aliases), example=example, parse=parse
        )
    }
    if default_factory is not None:
        return dataclasses.field(default_factory=default_factory, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)
