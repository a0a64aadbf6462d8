"""Options of the `cost_entry` exporter."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from collector.accounting.files_exporter import CostFilesConfig
from collector.config.diagnostics import did_you_mean
from collector.config.option import Invalid, option
from collector.cost.cost_category import CATEGORIES
from collector.cost.focus.values import SERVICE_CATEGORIES


@dataclass(frozen=True, slots=True, kw_only=True)
class CostEntryConfig(CostFilesConfig):
    """Costs as JSON lines that finopsmetrics' CostEntry takes: one file for each day of charges in each billing period."""

    categories: Mapping[str, str] = option(
        default_factory=dict,
        doc="FOCUS ServiceCategory -> CostEntry category, of charges that no unit tells the category of; beside the "
        "built-in ones.",
        example="{AI and Machine Learning: software_licenses}",
    )

    def validate(self) -> Iterator[Invalid]:
        """Check what belongs together."""
        yield from CostFilesConfig.validate(self)
        for service, category in self.categories.items():
            if service not in SERVICE_CATEGORIES:
                hint = did_you_mean(service, SERVICE_CATEGORIES) or "it is one of FOCUS"
                yield Invalid(f"categories.{service}", f"is not a ServiceCategory; {hint}")
            if category not in CATEGORIES:
                hint = did_you_mean(category, CATEGORIES) or f"there are {', '.join(sorted(CATEGORIES))}"
                yield Invalid(f"categories.{service}", f"{category!r} is not a category of CostEntry; {hint}")
