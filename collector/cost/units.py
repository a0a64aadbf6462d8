"""Units in which usage is priced: `Hours`, `GB-Hours`, `1000000 Tokens` (FOCUS, "Unit Format").

A unit is a product of data sizes, times and things counted, times a whole number. Its size in base units (bytes,
seconds, things) is exact; a month is 730 hours and a year 8760, as providers count them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

_PREFIXES: Final = "KMGTPE"
_SIZES: Final[dict[str, int]] = {
    "B": 1,
    **{f"{prefix}B": 1000**power for power, prefix in enumerate(_PREFIXES, start=1)},
    **{f"{prefix}iB": 1024**power for power, prefix in enumerate(_PREFIXES, start=1)},
}
_TIMES_S: Final[dict[str, int]] = {
    "Second": 1, "Minute": 60, "Hour": 3600, "Day": 86_400, "Month": 730 * 3600, "Year": 8760 * 3600,
}  # fmt: skip
_FACTOR: Final = re.compile(r"([1-9][0-9]{0,17}) +(.+)", re.ASCII)
_COUNT: Final = re.compile(r"[A-Z][A-Za-z]*(?: [A-Z][A-Za-z]*)*", re.ASCII)
_TEXT_MAX: Final = 80

BYTES: Final = "bytes"
TIME: Final = "time"


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit. `text` is how it is written, `counted` the same without the number before it.

    `kinds` says what it measures: `("Core", "time")`. Units of the same kinds can be converted.
    """

    text: str
    counted: str
    kinds: tuple[str, ...]
    size: Fraction  # base units in one of it

    @classmethod
    def parse(cls, text: str) -> Unit:
        """Read a unit.

        Raises:
            ValueError: with what was expected.
        """
        if len(text) > _TEXT_MAX:
            raise ValueError(f"{text[:_TEXT_MAX]!r}… is not a unit: it is too long")
        match = _FACTOR.fullmatch(text)
        factor, counted = (int(match[1]), match[2]) if match else (1, text)
        if "/" in counted:
            raise ValueError(f"{text!r} is a rate: a price is for a quantity, such as GB or GB-Hours")
        kinds: list[str] = []
        size = Fraction(factor)
        for word in counted.split("-"):
            singular = word.removesuffix("s")
            if word in _SIZES:
                kinds.append(BYTES)
                size *= _SIZES[word]
            elif singular in _TIMES_S:
                kinds.append(TIME)
                size *= _TIMES_S[singular]
            elif _COUNT.fullmatch(word):
                kinds.append(singular)
            else:
                raise ValueError(
                    f"{text!r} is not a unit: write it like Hours, GB-Hours, Requests or 1000000 Tokens"
                )
        return cls(text, counted, tuple(sorted(kinds)), size)

    def quantity(self, base: Fraction) -> Fraction:
        """Return `base` units of bytes, seconds or things in this unit."""
        return base / self.size
