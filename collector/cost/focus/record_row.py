"""One record as a row of FOCUS: the columns of its charge and amounts, the ledger's own, and those of a split."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from collector.cost.focus.columns import BY_NAME, columns_of
from collector.cost.focus.fill import Row, fill, fit
from collector.cost.focus.json_maps import write_map
from collector.cost.focus.mapping import (
    ALLOCATED,
    AMOUNT_COLUMNS,
    CATEGORY_TEXT,
    CHARGE_PRICES,
    CHARGE_TEXTS,
    KIND,
    KIND_TEXT,
    LABELS,
    LEVEL,
    LEVEL_TEXT,
    OTHER_COLUMNS,
    PERIODS,
    RECORD_IDS,
    RECORD_NUMBERS,
    RESERVED,
    RULE,
    SOURCE,
    SOURCE_TEXT,
    SUBJECT_IDS,
    SUBJECT_TAGS,
    SUBJECT_TEXTS,
    allocated_resource,
    time_text,
    workload_tag,
)
from collector.cost.focus.numbers import plain
from collector.cost.record import Charge, ChargeClass, CostAttributionRecord, Level, Subject


class RecordRows:
    """Makes the rows of records, one by one. What is the same for the parts of a charge is made once.

    `columns`: those of the version. `prefix`: of the columns of a split, which FOCUS has since 1.3.
    """

    def __init__(self, version: str, defaults: Mapping[str, str]) -> None:
        self.columns: Final = columns_of(version)
        self.prefix: Final = "" if ALLOCATED[0] in self.columns else "x_"
        self._version = version
        self._defaults = defaults
        self._charge: tuple[Charge, Row] | None = None

    def row(self, record: CostAttributionRecord) -> Row:
        """What the record says, but for its split; what is NULL may be absent.

        Raises:
            FocusExportError: it does not say what the version asks for.
        """
        if self._charge is None or self._charge[0] is not record.charge:
            self._charge = (record.charge, _charge_row(record.charge))
        row = dict(self._charge[1])
        for name, column in AMOUNT_COLUMNS.items():
            amount = getattr(record.amounts, name)
            row[column] = None if amount is None else plain(amount)
        fill(row, self.columns, self._defaults)
        _ledger(record, row)
        return fit(row, self.columns, self._version)

    def allocated(self, record: CostAttributionRecord) -> Row:
        """The Allocated… columns, but for the details, which depend on the other parts; none of an origin."""
        return _allocated(record, self.prefix) if record.level is not Level.ORIGIN else {}


def _charge_row(charge: Charge) -> Row:
    row: Row = {column: getattr(charge, name) or None for name, column in CHARGE_TEXTS.items()}
    for name, column in CHARGE_PRICES.items():
        price = getattr(charge, name)
        row[column] = None if price is None else plain(price)
    for name, column in PERIODS:
        period = getattr(charge, name)
        row[f"{column}Start"] = time_text(period.start_unix_nano)
        row[f"{column}End"] = time_text(period.end_unix_nano)
    row["ChargeCategory"] = CATEGORY_TEXT[charge.charge_category]
    row["ChargeClass"] = "Correction" if charge.charge_class is ChargeClass.CORRECTION else None
    row["Tags"] = write_map(charge.tags) if charge.tags else None
    row["SkuPriceDetails"] = (
        write_map(charge.sku_price_details, sku=True) if charge.sku_price_details else None
    )
    others: dict[str, str] = {}
    for name, text in charge.columns.items():
        if name in RESERVED or not (name in BY_NAME or _is_custom(name)):
            others[name] = text
        elif text:
            row[name] = text
    if others:
        row[OTHER_COLUMNS] = write_map(others)
    return row


def _is_custom(name: str) -> bool:
    return name.startswith("x_") and name[2:].isidentifier() and name.isascii()


def _ledger(record: CostAttributionRecord, row: Row) -> None:
    """The columns of ours: what is empty or 0 is NULL."""
    for name, column in RECORD_IDS.items():
        row[column] = getattr(record, name).hex() or None
    for name, column in RECORD_NUMBERS.items():
        number = getattr(record, name)
        row[column] = str(number) if number else None
    row[LEVEL] = LEVEL_TEXT[record.level]
    row[SOURCE] = SOURCE_TEXT[record.source]
    row[RULE] = record.rule_id or None
    subject = record.subject
    if record.level is not Level.ORIGIN or subject.kind:
        row[KIND] = KIND_TEXT[subject.kind]
    for name, column in SUBJECT_TEXTS.items():
        row[column] = getattr(subject, name) or None
    for name, column in SUBJECT_IDS.items():
        row[column] = getattr(subject, name).hex() or None
    row[LABELS] = write_map(subject.labels) if subject.labels else None


def _allocated(record: CostAttributionRecord, prefix: str) -> Row:
    """The Allocated… columns of a part, but for the details."""
    resource, name = allocated_resource(record.subject)
    tags = _allocated_tags(record.subject, record.charge.tags)
    allocated: Row = {
        "AllocatedMethodId": record.allocated_method_id or record.rule_id or "unspecified",
        "AllocatedResourceId": resource or None,
        "AllocatedResourceName": name or None,
        "AllocatedTags": write_map(tags) if tags else None,
    }
    return {f"{prefix}{column}": text for column, text in allocated.items() if text is not None}


def _allocated_tags(subject: Subject, tags: Mapping[str, str]) -> dict[str, str]:
    allocated = {tag: getattr(subject, name) for name, tag in SUBJECT_TAGS.items()}
    allocated[workload_tag(subject.k8s_workload_kind)] = subject.k8s_workload
    allocated.update(subject.labels)
    # Tags that the charge has are not repeated (FOCUS, "AllocatedTags").
    return {key: text for key, text in allocated.items() if text and tags.get(key) != text}
