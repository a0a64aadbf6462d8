"""What attributes have to be for a price or a rule to apply: globs on their values."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping

Attributes = Mapping[str, str]


class Globs:
    """All patterns have to match. `*` is any text, `?` any character, `[ab]` one of some; upper case counts."""

    __slots__ = ("_patterns", "_texts")

    def __init__(self, patterns: Mapping[str, str]) -> None:
        self._texts = dict(patterns)
        self._patterns = [
            (key, None if _plain(text) else re.compile(fnmatch.translate(text)), text)
            for key, text in patterns.items()
        ]

    @property
    def keys(self) -> tuple[str, ...]:
        """The attributes that are looked at."""
        return tuple(self._texts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Globs) and other._texts == self._texts

    def __hash__(self) -> int:
        return hash(frozenset(self._texts.items()))

    def match(self, attributes: Attributes) -> bool:
        """Whether `attributes` has all of the keys, each with a value that its pattern matches."""
        for key, pattern, text in self._patterns:
            value = attributes.get(key)
            if value is None or (value != text if pattern is None else not pattern.match(value)):
                return False
        return True


def _plain(text: str) -> bool:
    return not any(character in text for character in "*?[")
