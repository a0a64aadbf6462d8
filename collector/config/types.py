"""Types whose unit is part of the type. They are what a configuration holds; YAML holds their spellings."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Final, Self

_DURATION_PART: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?|\.[0-9]+)(ns|us|µs|ms|s|m|h|d|w)")
_DURATION_UNITS_S: Final = {
    "w": Fraction(604_800), "d": Fraction(86_400), "h": Fraction(3600), "m": Fraction(60), "s": Fraction(1),
    "ms": Fraction(1, 10**3), "us": Fraction(1, 10**6), "µs": Fraction(1, 10**6), "ns": Fraction(1, 10**9),
}  # fmt: skip
_SIZE: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(B|kB|KB|MB|GB|KiB|MiB|GiB)?")
_PASSWORD_VALUE: Final = re.compile(
    r"(?i)((?:^|[\s?&])(?:ssl)?password\s*=\s*)('(?:\\.|[^'\\])*'?|(?:\\.|[^\s&\\])*)"
)
_SIZE_UNITS: Final = {
    None: 1, "B": 1, "kB": 1000, "KB": 1000, "MB": 1000**2, "GB": 1000**3,
    "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3,
}  # fmt: skip

REDACTED: Final = "[REDACTED]"


class Duration(float):
    """A length of time in seconds. Written like Go's durations, and with days and weeks: `200ms`, `1h30m`, `90d`."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `1h30m`, `0.5s`, `90d`, `0`. A bare number is seconds.

        Raises:
            ValueError: with what was expected.
        """
        stripped = text.strip()
        try:
            seconds = float(stripped)
        except ValueError:
            parts = _DURATION_PART.findall(stripped)
            if not parts or "".join(number + unit for number, unit in parts) != stripped:
                raise ValueError(
                    f"{text!r} is not a duration: write it like 200ms, 5s, 1h30m or 90d"
                ) from None
            # Exact, so that every duration is read back as it is printed: 0.3 s is not 300 times 0.001 s.
            seconds = _nearest(sum(Fraction(number) * _DURATION_UNITS_S[unit] for number, unit in parts))
        if not 0 <= seconds < float("inf"):
            raise ValueError(f"{text!r} is not a duration: it must be finite and not negative")
        return cls(seconds)

    def __str__(self) -> str:
        for unit, length in _DURATION_UNITS_S.items():
            count = round(Fraction(self) / length)
            if count and _nearest(count * length) == self:
                return f"{count}{unit}"
        return f"{float(self)!r}" if self else "0s"


def _nearest(seconds: Fraction | int) -> float:
    """Return the float next to `seconds`; infinity if there is none."""
    try:
        return float(seconds)
    except OverflowError:
        return float("inf")


class ByteSize(int):
    """A number of bytes. Written as a number, or with a unit: `512MiB`, `20MB`."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `512MiB`, `20 MB`, `1048576`.

        Raises:
            ValueError: with what was expected.
        """
        match = _SIZE.fullmatch(text.strip())
        if match is None:
            raise ValueError(f"{text!r} is not a size: write it like 64MiB, 500kB or 1048576")
        return cls(round(Fraction(match[1]) * _SIZE_UNITS[match[2]]))

    def __str__(self) -> str:
        for unit in ("GiB", "MiB", "KiB"):
            if self and self % _SIZE_UNITS[unit] == 0:
                return f"{self // _SIZE_UNITS[unit]}{unit}"
        return str(int(self))


class Secret:
    """A text that is never printed. `reveal()` is the only way to it, so that a search finds every use."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text."""
        return self._text

    def __repr__(self) -> str:
        return f"Secret({REDACTED})"

    def __str__(self) -> str:
        return REDACTED

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)


class ConnectionString(Secret):
    """The address of a database, which may hold a password: printed whole but for that.

    A URL (`postgresql://user:password@host/db?sslpassword=…`) or libpq's `key=value` form. Where a password that
    was not percent-encoded makes the URL ambiguous, too much is hidden rather than too little: everything from
    the first ':' after the user to the last '@'.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return f"ConnectionString({str(self)!r})"

    def __str__(self) -> str:
        text = self._text
        scheme, separator, rest = text.partition("://")
        if separator:
            credentials, at, place = rest.rpartition("@")
            user, colon, _ = credentials.partition(":")
            text = f"{scheme}://{user}:{REDACTED}@{place}" if at and colon else text
        return _PASSWORD_VALUE.sub(lambda match: match[1] + REDACTED, text)
