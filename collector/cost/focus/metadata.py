"""The metadata that goes beside a FOCUS file (FOCUS, "Metadata": Schema, DatasetInstance, Recency, DataGenerator)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from collector.cost.amount import PRECISION, SCALE
from collector.cost.focus.columns import BY_NAME, DataType
from collector.cost.focus.mapping import ORIGIN_AMOUNTS, SECOND_NS, time_text
from collector.cost.focus.rows import FocusRows
from collector.cost.identity import identify
from collector.cost.record import Period

_TYPES: Final = {
    DataType.STRING: "STRING",
    DataType.DECIMAL: "DECIMAL",
    DataType.DATETIME: "DATETIME",
    DataType.KEY_VALUE: "JSON",
    DataType.JSON_OBJECT: "JSON",
}
_DECIMAL_CUSTOM: Final = frozenset(ORIGIN_AMOUNTS.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeSector:
    """A stretch of charge periods. `complete`: nothing in it will change, but for corrections (a closed window)."""

    period: Period
    complete: bool
    updated_unix_nano: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """What a file is a copy of. `name` stays the same from export to export; times are ns since 1970.

    `waiting`: records that are not in it because what they are parts of is not whole yet.
    """

    name: str
    created_unix_nano: int
    generator_version: str
    sectors: Sequence[TimeSector] = ()
    waiting: int = 0


def metadata_json(rows: FocusRows, dataset: Dataset) -> bytes:
    """The side-car of the file of `rows`: JSON, the same for the same arguments.

    `SchemaId` changes if and only if version or columns do; `DatasetInstanceId` with the name.
    """
    version = rows.options.version
    counts = {"Records": rows.records, "UnpricedLeftOut": rows.unpriced}
    if dataset.waiting:
        counts["Waiting"] = dataset.waiting
    instance = _uuid("focus.dataset", dataset.name)
    created = time_text(dataset.created_unix_nano // SECOND_NS * SECOND_NS)
    value = {
        "DataGenerator": {"DataGenerator": "collector"},
        "DatasetInstance": [
            {
                "DatasetInstanceId": instance,
                "DatasetInstanceName": dataset.name,
                "FocusDatasetId": "CostAndUsage",
            }
        ],
        "Schema": [
            {
                "SchemaId": _uuid("focus.schema", version, *rows.columns),
                "DatasetInstanceId": instance,
                "FocusVersion": version,
                "CreationDate": created,
                "DataGeneratorVersion": dataset.generator_version,
                "ColumnDefinition": [_definition(name) for name in rows.columns],
            }
        ],
        "Recency": [
            {
                "DatasetInstanceId": instance,
                "DatasetInstanceComplete": bool(dataset.sectors) and all(s.complete for s in dataset.sectors),
                "DatasetInstanceLastUpdated": created,
                "RecencyLastUpdated": created,
                "TimeSectors": [_sector(sector) for sector in dataset.sectors],
            }
        ],
        "x_Rows": counts,
    }
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()


def _definition(name: str) -> dict[str, Any]:
    column = BY_NAME.get(name)
    if name in _DECIMAL_CUSTOM or (column is not None and column.type is DataType.DECIMAL):
        return {
            "ColumnName": name,
            "DataType": "DECIMAL",
            "NumericPrecision": PRECISION,
            "NumberScale": SCALE,
        }
    kind = "STRING" if column is None else _TYPES[column.type]
    definition: dict[str, Any] = {"ColumnName": name, "DataType": kind}
    if kind == "STRING":
        definition["StringEncoding"] = "UTF-8"
    return definition


def _sector(sector: TimeSector) -> dict[str, Any]:
    return {
        "TimeSectorStart": time_text(sector.period.start_unix_nano),
        "TimeSectorEnd": time_text(sector.period.end_unix_nano),
        "TimeSectorComplete": sector.complete,
        "TimeSectorLastUpdated": time_text(sector.updated_unix_nano // SECOND_NS * SECOND_NS),
    }


def _uuid(label: str, *parts: str) -> str:
    return str(UUID(bytes=identify(label, parts)))
