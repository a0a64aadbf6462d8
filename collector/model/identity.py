"""`ComponentID`: how a component is named in YAML, in logs and in metric labels."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_TYPE: Final = re.compile(r"[a-zA-Z][0-9a-zA-Z_]{0,62}")
_NAME: Final = re.compile(r"[^\s\x00-\x1f\x7f<>&\"'/]{1,1024}")


@dataclass(frozen=True, slots=True, order=True)
class ComponentID:
    """`type` or `type/name`, with otelcol's grammar (opentelemetry-collector, component/identifiable.go)."""

    type: str
    name: str = ""

    @classmethod
    def parse(cls, text: str) -> ComponentID:
        """Read `type` or `type/name`.

        Raises:
            ValueError: with a message that says which part is wrong.
        """
        kind, slash, name = text.partition("/")
        if not _TYPE.fullmatch(kind):
            raise ValueError(f"{kind!r} is not a component type: a letter, then letters, digits and '_'")
        if slash and not _NAME.fullmatch(name):
            raise ValueError(
                f"{name!r} is not a component name: no spaces, quotes, '/' or control characters"
            )
        return cls(kind, name)

    def __str__(self) -> str:
        return f"{self.type}/{self.name}" if self.name else self.type
