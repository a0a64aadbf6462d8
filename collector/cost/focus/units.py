"""Units of measure (FOCUS attribute "UnitFormat"): `GB-Hours`, `Requests`, `1000 Tokens`, `GB/Hour`, `Units/3 Months`."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

_BITS: Final = ("b", "Kb", "Mb", "Gb", "Tb", "Pb", "Eb", "Kib", "Mib", "Gib", "Tib", "Pib", "Eib")
DATA_SIZES: Final = frozenset((*_BITS, *(unit[:-1] + "B" for unit in _BITS)))
COUNTS: Final = ("Count", "Unit", "Request", "Token", "Connection", "Certificate", "Domain", "Core")
TIMES: Final = ("Year", "Month", "Day", "Hour", "Minute", "Second")

_PREFIXES: Final = (
    "",
    "kilo",
    "mega",
    "giga",
    "tera",
    "peta",
    "exa",
    "kibi",
    "mebi",
    "gibi",
    "tebi",
    "pebi",
    "exbi",
)
_LONG_SIZES: Final = {
    prefix + noun: short
    for noun, shorts in (("bit", _BITS), ("byte", tuple(unit[:-1] + "B" for unit in _BITS)))
    for prefix, short in zip(_PREFIXES, shorts, strict=True)
}
_KNOWN: Final = {name.casefold(): name for name in (*COUNTS, *TIMES)}
_PARTS: Final = re.compile(
    r"(?:(?P<quantity>[0-9]+) )?(?P<unit>[^-/0-9 ][^-/]*?)(?:-(?P<times>[^-/]+))?(?:/(?:(?P<interval>[0-9]+) )?(?P<per>[^-/]+))?",
    re.ASCII,
)


@lru_cache(maxsize=4096)
def problem_of(unit: str) -> tuple[str, bool] | None:
    """What is wrong with a unit, and whether FOCUS forbids it (True) or advises against it (False); None if nothing is."""
    match = _PARTS.fullmatch(unit)
    if match is None:
        return f"{unit!r} is not of the form unit, unit-times, units/time or number units", True
    if any(number is not None and not int(number) for number in (match["quantity"], match["interval"])):
        return "a quantity of 0", True
    noun, times, per = match["unit"], match["times"], match["per"]
    found = _noun(noun, plural=times is None)
    if times is not None:
        found = found or _time(times, plural=True)
    if per is not None:
        found = found or _time(per, plural=match["interval"] is not None)
    return found


def _noun(noun: str, *, plural: bool) -> tuple[str, bool] | None:
    if noun in DATA_SIZES:
        return None
    if " per " in noun:
        return f"{noun!r} is written with a slash: units/time", True
    lowered = noun.casefold()
    singular = lowered.removesuffix("s")
    if short := _LONG_SIZES.get(singular):
        return f"{noun!r} is written {short}", True
    if noun.endswith("s") and noun[:-1] in DATA_SIZES and len(noun) > 2:
        return f"{noun!r} is written {noun[:-1]}", True
    for size in DATA_SIZES:
        # "b" and "B" are bits and bytes: other prefixes in the wrong case are mistakes, not other units.
        if len(size) > 1 and size.casefold() == lowered and size[-1] == noun[-1]:
            return f"{noun!r} is written {size}", True
    if known := _KNOWN.get(singular):
        return _spelled(noun, known, plural=plural)
    if not noun[0].isupper():
        return f"{noun!r} does not begin with a capital letter", True
    return None


def _time(time: str, *, plural: bool) -> tuple[str, bool] | None:
    known = _KNOWN.get(time.casefold().removesuffix("s"))
    if known not in TIMES:
        return f"{time!r} is not a time: {', '.join(TIMES)}", True
    return _spelled(time, known, plural=plural)


def _spelled(word: str, known: str, *, plural: bool) -> tuple[str, bool] | None:
    right = f"{known}s" if plural else known
    if word == right:
        return None
    if word in (known, f"{known}s"):
        return f"{word!r} is better written {right!r}", False
    return f"{word!r} is written {right!r}", True
