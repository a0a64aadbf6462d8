"""The 25 categories of finopsmetrics' CostEntry, and which of them a charge has: one answer for export and query."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

CATEGORIES: Final = (
    "compute", "storage", "network", "gpu", "memory", "software_licenses", "data_transfer", "support", "databricks",
    "databricks_dbu", "databricks_jobs", "databricks_sql", "snowflake", "snowflake_compute", "snowflake_storage",
    "mongodb_atlas", "redis_cloud", "github_actions", "datadog", "elasticsearch", "confluent_kafka", "database",
    "database_compute", "database_storage", "database_backup",
)  # fmt: skip

# The custom column of a charge that came as a CostEntry: the category that it had.
CATEGORY_COLUMN: Final = "x_CostEntryCategory"

# FOCUS ServiceCategory of a charge: the category of its entries.
SERVICE_CATEGORIES: Final[Mapping[str, str]] = {
    "AI and Machine Learning": "software_licenses",
    "Business Applications": "software_licenses",
    "Compute": "compute",
    "Databases": "database",
    "Developer Tools": "software_licenses",
    "Networking": "network",
    "Storage": "storage",
}
_BY_NOUN: Final = {"Core": "compute", "GiB": "memory", "GB": "memory", "Gpu": "gpu", "GPU": "gpu"}
_OTHERWISE: Final = "compute"


def category_of(
    *,
    columns: Mapping[str, str],
    element_units: Iterable[str],
    unit: str,
    meter: str,
    description: str,
    service_category: str,
    categories: Mapping[str, str] = SERVICE_CATEGORIES,
) -> str:
    """Return the category: its own, else that of its elements' unit if they agree, else that of the charge.

    Args:
        columns: The charge's further columns.
        element_units: Of how the part was found: `Core-Hours`.
        unit: What was consumed or priced, as FOCUS writes units.
        meter: FOCUS SkuMeter.
        description: FOCUS ChargeDescription.
        service_category: FOCUS ServiceCategory.
        categories: ServiceCategory to category.
    """
    own = columns.get(CATEGORY_COLUMN, "")
    if own in CATEGORIES:
        return own
    found = {_BY_NOUN.get(text.partition("-")[0], "") for text in element_units}
    if len(found) == 1 and (category := found.pop()):
        return category
    if service_category == "Networking" and "egress" in f"{meter} {description}".casefold():
        return "data_transfer"
    by_unit = _BY_NOUN.get(unit.partition("-")[0], "") if unit.endswith("-Hours") else ""
    if by_unit == "gpu" or (by_unit and service_category == "Compute"):
        return by_unit
    return categories.get(service_category, _OTHERWISE)
