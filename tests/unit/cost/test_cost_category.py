"""Which of finopsmetrics' categories a charge has."""

from __future__ import annotations

import pytest

from collector.cost.cost_category import CATEGORIES, category_of


@pytest.mark.parametrize(
    ("unit", "service", "category"),
    [
        ("Core-Hours", "Compute", "compute"),
        ("GiB-Hours", "Compute", "memory"),
        ("GPU-Hours", "Compute", "gpu"),
        ("GB", "Storage", "storage"),
        ("GB", "Networking", "network"),
        ("1000 Tokens", "AI and Machine Learning", "software_licenses"),
        ("Hours", "Databases", "database"),
        ("Hours", "Other", "compute"),
    ],
)
def test_categories_follow_unit_and_service(unit: str, service: str, category: str) -> None:
    """All of them are categories of CostEntry."""
    found = category_of(
        columns={}, element_units=(), unit=unit, meter="", description="", service_category=service
    )
    assert found == category
    assert category in CATEGORIES
