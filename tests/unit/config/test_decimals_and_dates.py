"""Options that are exact numbers and days."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from collector.config.encode import encode, to_yaml
from collector.config.option import option
from tests.unit.config.reading import decoded, good, messages


@dataclass(frozen=True, slots=True, kw_only=True)
class RateConfig:
    price: Decimal = option(Decimal(1), doc="A price.", minimum=0)
    since: date | None = option(None, doc="Its first day.")


def test_a_decimal_keeps_its_digits_and_a_date_is_a_day() -> None:
    """In quotes or not; and what is printed is read back as equal."""
    config = good("price: 0.1000000000000000055\nsince: 2026-01-31", RateConfig)
    assert str(config.price) == "0.1000000000000000055"
    assert config.since == date(2026, 1, 31)
    assert good(to_yaml(encode(config, reveal=False)), RateConfig) == config
    assert good('price: "3.00"\nsince:', RateConfig) == RateConfig(price=Decimal(3))


def test_what_is_no_decimal_or_no_date_is_an_error_with_its_place() -> None:
    """A float's spellings are refused, and bounds hold."""
    assert messages(decoded("price: 1e3\nsince: 31.1.2026", RateConfig)[1]) == [
        "2:8 store.price: '1e3' is not a decimal number | write it like 0.031611",
        "3:8 store.since: '31.1.2026' is not a date | write it like 2026-01-31",
    ]
    assert messages(decoded("price: -0.5\nsince: 2026-02-30", RateConfig)[1]) == [
        "2:8 store.price is -0.5 | must be at least 0",
        "3:8 store.since: '2026-02-30' is not a date | write it like 2026-01-31",
    ]
