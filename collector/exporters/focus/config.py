"""Options of the `focus` exporter."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal

from collector.accounting.files_exporter import CostFilesConfig
from collector.config.diagnostics import did_you_mean
from collector.config.option import Invalid, option
from collector.cost.focus.columns import columns_of


@dataclass(frozen=True, slots=True, kw_only=True)
class FocusConfig(CostFilesConfig):
    """Costs as FOCUS files: one for each day of charges in each billing period, with its metadata beside it."""

    version: Literal["1.2", "1.3", "1.4"] = option(
        "1.2", doc="FOCUS version. Before 1.3 FOCUS has no columns for splits: theirs begin with x_ then."
    )
    format: Literal["csv", "parquet"] = option("csv", doc="`parquet` needs collector[parquet].")
    columns: Mapping[str, str] = option(
        default_factory=dict,
        doc="FOCUS column -> what it says where a record says nothing.",
        example="{BillingAccountId: '1234', InvoiceIssuerName: Example Cloud}",
    )
    origin_row: Literal["drop", "zeroed"] = option(
        "drop",
        doc="What becomes of the row of a charge whose parts are in the file; zeroed: its amounts are 0.",
    )

    def validate(self) -> Iterator[Invalid]:
        """Check what belongs together."""
        yield from CostFilesConfig.validate(self)
        known = columns_of(self.version)
        for name, text in self.columns.items():
            if name not in known:
                hint = did_you_mean(name, known) or "columns are written as in FOCUS: BillingAccountId"
                yield Invalid(f"columns.{name}", f"is not a column of FOCUS {self.version}; {hint}")
            elif not text.strip():
                yield Invalid(f"columns.{name}", "is empty: leave it out, or say what the column shall say")
        if self.format == "parquet" and find_spec("pyarrow") is None:
            yield Invalid("format", "needs pyarrow: pip install 'collector[parquet]', or write csv")
