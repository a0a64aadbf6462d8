"""One row of a FOCUS file as charge, amounts and subject, with the tolerances that real files need."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from collector.cost.amount import AmountError, checked
from collector.cost.focus.bill import Manifest
from collector.cost.focus.columns import BY_NAME, DataType, Format
from collector.cost.focus.json_maps import read_map
from collector.cost.focus.json_values import JsonError, parse_object
from collector.cost.focus.mapping import (
    AMOUNT_COLUMNS,
    CATEGORY_TEXT,
    CHARGE_MAPS,
    CHARGE_PRICES,
    CHARGE_TEXTS,
    OTHER_COLUMNS,
    PERIODS,
    RESERVED,
)
from collector.cost.focus.mend import instant, number
from collector.cost.focus.numbers import EXACT
from collector.cost.focus.table import FileError
from collector.cost.focus.units import problem_of
from collector.cost.record import (
    AllocationElement,
    Amounts,
    Charge,
    ChargeClass,
    Period,
    RecordError,
)

Row = dict[str, str | None]

_CATEGORIES: Final = {text: category for category, text in CATEGORY_TEXT.items()}
# Cost: the costs that stand for it where it is NULL, in this order (seen: Oracle's ContractedCost).
_STANDS_FOR: Final = (
    ("EffectiveCost", ("BilledCost",)),
    ("ContractedCost", ("EffectiveCost",)),
    ("ListCost", ("ContractedCost",)),
)
_DECIMALS: Final = tuple(column.name for column in BY_NAME.values() if column.type is DataType.DECIMAL)
_ENUMS: Final = {column.name: column.allowed for column in BY_NAME.values() if column.allowed is not None}
_UNITS: Final = tuple(column.name for column in BY_NAME.values() if column.format is Format.UNIT)
NULL_LITERALS: Final = frozenset(("NULL", "null", "Null"))


class ChargeReader:
    """Reads rows. Raises FileError with the row's line; counts what it tolerates in the manifest."""

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest
        self._line = 0

    def clean(self, row: Row, line: int) -> None:
        """Take what stands for NULL for NULL, and put allowed values in the right case, in place."""
        self._line = line
        for name, value in row.items():
            if value is None:
                continue
            if value in NULL_LITERALS and name in BY_NAME:
                self._tolerate("null-literal", name)
                row[name] = None
            elif not value:
                self._tolerate("empty-string", name)
                row[name] = None
        for name, allowed in _ENUMS.items():
            value = row.get(name)
            if value is not None and value not in allowed:
                row[name] = self._allowed(name, value, allowed)
        for name in _UNITS:
            if (unit := row.get(name)) and problem_of(unit) is not None:
                self._tolerate("unit-format", name)

    def _allowed(self, name: str, value: str, allowed: frozenset[str]) -> str:
        folded = value.strip().casefold()
        for right in allowed:
            if right.casefold() == folded:
                self._tolerate("letter-case", name)
                return right
        if name in ("ChargeCategory", "ChargeClass"):
            raise self._error(name, f"{value!r} is not one of {', '.join(sorted(allowed))}")
        self._tolerate("allowed-values", name)
        return value

    def decimals(self, row: Row) -> dict[str, Decimal]:
        """All numbers of the row that are not NULL."""
        found: dict[str, Decimal] = {}
        for name in _DECIMALS:
            text = row.get(name)
            if text is None:
                continue
            try:
                found[name], rules = number(text)
            except ValueError as error:
                raise self._error(name, str(error), "digits with a point") from None
            for rule in rules:
                self._tolerate(rule, name)
        return found

    def amounts(self, numbers: dict[str, Decimal]) -> Amounts:
        """What is split. Costs that are NULL are filled from others, which is counted."""
        for name, others in _STANDS_FOR:
            if name not in numbers:
                stand_in = next((other for other in others if other in numbers), None)
                if stand_in is None:
                    raise self._error(name, "is NULL, and no other cost stands for it")
                self._tolerate("missing-cost", name)
                numbers[name] = numbers[stand_in]
        if "BilledCost" not in numbers:
            raise self._error("BilledCost", "is NULL", "a bill says what was billed")
        return Amounts(**{field: numbers.get(column) for field, column in AMOUNT_COLUMNS.items()})

    def charge(self, row: Row, numbers: Mapping[str, Decimal]) -> Charge:
        """What was charged for."""
        texts: dict[str, Any] = {field: row.get(column) or "" for field, column in CHARGE_TEXTS.items()}
        columns: dict[str, str] = {}
        if row.get("ProviderName") and not texts["service_provider_name"]:
            texts["service_provider_name"] = row["ProviderName"]
        maps: dict[str, Any] = {}
        for field, column in CHARGE_MAPS.items():
            text = row.get(column)
            if text is not None:
                maps[field], same = self._map(column, text)
                if not same:
                    columns[column] = text
        for name, value in row.items():
            if value is None or name in RESERVED or name in CHARGE_MAPS.values():
                continue
            if name == "ProviderName" and value == texts["service_provider_name"]:
                continue
            columns[name] = value
        if (others := row.get(OTHER_COLUMNS)) is not None:
            columns.update(self._map(OTHER_COLUMNS, others)[0])
        category = row.get("ChargeCategory")
        if category is None:
            raise self._error("ChargeCategory", "is NULL")
        if not texts["billing_currency"]:
            raise self._error("BillingCurrency", "is NULL", "amounts without a currency cannot be added up")
        prices: dict[str, Any] = {field: numbers.get(column) for field, column in CHARGE_PRICES.items()}
        periods = {field: self._period(row, column) for field, column in PERIODS}
        try:
            return Charge(
                **texts,
                **maps,
                **prices,
                charge_period=periods["charge_period"],
                billing_period=periods["billing_period"],
                charge_category=_CATEGORIES[category],
                charge_class=ChargeClass.CORRECTION if row.get("ChargeClass") else ChargeClass.NONE,
                columns=columns,
            )
        except RecordError as error:
            raise self._error("BillingCurrency", error.reason) from None

    def products(self, numbers: Mapping[str, Decimal]) -> None:
        """Count costs that are not price times quantity. They are taken as they are."""
        quantity = numbers.get("PricingQuantity")
        if quantity is None:
            return
        for cost, price in (("ListCost", "ListUnitPrice"), ("ContractedCost", "ContractedUnitPrice")):
            if (
                cost in numbers
                and price in numbers
                and EXACT.multiply(numbers[price], quantity) != numbers[cost]
            ):
                self._tolerate("price-times-quantity", cost)

    def labels(self, column: str, text: str | None) -> Mapping[str, str]:
        """A flat JSON object as labels."""
        return {} if text is None else self._map(column, text)[0]

    def elements(self, column: str, text: str | None) -> tuple[AllocationElement, ...]:
        """AllocatedMethodDetails. Properties that are not FOCUS' are left out, which is counted."""
        if text is None:
            return ()
        try:
            value = parse_object(text)
        except JsonError as error:
            raise self._error(column, str(error)) from None
        found = value.get("Elements")
        if not isinstance(found, list):
            raise self._error(column, "has no array 'Elements'")
        elements = []
        for element in found:
            ratio = element.get("AllocatedRatio") if isinstance(element, dict) else None
            if not isinstance(ratio, Decimal):
                raise self._error(column, "an element has no number AllocatedRatio")
            quantity = element.get("UsageQuantity")
            if element.keys() - {"AllocatedRatio", "UsageUnit", "UsageQuantity"}:
                self._tolerate("details-left-out", column)
            try:
                elements.append(
                    AllocationElement(
                        ratio=self._fitting(column, ratio),
                        usage_unit=str(element.get("UsageUnit") or ""),
                        usage_quantity=self._fitting(column, quantity)
                        if isinstance(quantity, Decimal)
                        else None,
                    )
                )
            except RecordError as error:
                raise self._error(column, error.reason) from None
        return tuple(elements)

    def _fitting(self, column: str, value: Decimal) -> Decimal:
        try:
            return checked(value)
        except AmountError:
            try:
                rounded, rules = number(str(value))
            except ValueError as error:
                raise self._error(column, str(error)) from None
            for rule in rules:
                self._tolerate(rule, column)
            return rounded

    def _map(self, column: str, text: str) -> tuple[Mapping[str, str], bool]:
        try:
            return read_map(text, sku=column == "SkuPriceDetails")
        except JsonError as error:
            raise self._error(column, str(error), "a flat JSON object") from None

    def _period(self, row: Row, column: str) -> Period:
        edges = []
        for name in (f"{column}Start", f"{column}End"):
            text = row.get(name)
            if text is None:
                raise self._error(name, "is NULL")
            try:
                nanoseconds, rules = instant(text)
            except ValueError as error:
                raise self._error(name, str(error), "YYYY-MM-DDThh:mm:ssZ") from None
            for rule in rules:
                self._tolerate(rule, name)
            edges.append(nanoseconds)
        try:
            return Period(*edges)
        except ValueError:
            raise self._error(f"{column}End", "is not after the start of the period") from None

    def _tolerate(self, rule: str, column: str) -> None:
        self._manifest.tolerate(rule, column, self._line)

    def _error(self, column: str, problem: str, remedy: str = "") -> FileError:
        return FileError(self._manifest.file, self._line, problem, column=column, remedy=remedy, rule="value")
