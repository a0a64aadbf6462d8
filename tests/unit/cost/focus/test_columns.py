"""The columns of FOCUS against another hand's copy of them, and units of measure."""

from __future__ import annotations

import pytest

from collector.cost.focus.columns import SKU_PRICE_DETAILS, VERSIONS, DataType, Level, columns_of
from collector.cost.focus.units import problem_of
from collector.cost.focus.values import SERVICE_SUBCATEGORIES


def test_each_version_has_its_number_of_columns() -> None:
    """As the specifications count them."""
    assert {version: len(columns_of(version)) for version in VERSIONS} == {
        "1.0": 43,
        "1.1": 50,
        "1.2": 57,
        "1.3": 65,
        "1.4": 65,
    }


def test_columns_are_those_of_focus_data_toolkit() -> None:
    """Type, nullability, level, allowed values of 1.4, and which columns 1.2 and 1.3 have."""
    model = pytest.importorskip("focus_data_toolkit.model")
    registry = pytest.importorskip("focus_data_toolkit.schema.registry")
    keys = pytest.importorskip("focus_data_toolkit.model.focus_json_keys")
    theirs = model.load_model()["datasets"]["Cost and Usage"]["columns"]
    ours = columns_of("1.4")
    assert ours.keys() == theirs.keys()
    for name, column in ours.items():
        spec = theirs[name]
        kind = spec["value_format"] if spec["data_type"] == "JSON" else spec["data_type"].replace("/", "")
        assert DataType(kind if kind != "DateTime" else "DateTime") is column.type
        assert spec["allows_nulls"] == column.nullable, name
        assert Level(spec["feature_level"]) is column.level_in("1.4"), name
        assert max(spec["version"], "1.0") == column.introduced, name
        assert (spec["allowed_values"] and frozenset(spec["allowed_values"])) == column.allowed, name
        assert ("non-negative" in spec["value_format"]) == (not column.negative), name
    for version in ("1.2", "1.3"):
        assert registry.version_columns("Cost and Usage", version) == columns_of(version).keys()
    assert model.load_model()["service_subcategory_parents"] == SERVICE_SUBCATEGORIES
    assert SKU_PRICE_DETAILS.keys() == keys.SKU_PRICE_DETAILS_KEYS


@pytest.mark.parametrize(
    "unit",
    ["GB", "Hours", "GB-Hours", "Core-Hours", "GiB-Hours", "GB/Hour", "1000 Tokens", "1000000 Tokens", "Units/3 Months",
     "LCU-Hours", "B", "Requests", "USD", "Eib"],
)  # fmt: skip
def test_units_that_are_right(unit: str) -> None:
    """From the specification, and of our own."""
    assert problem_of(unit) is None


@pytest.mark.parametrize(
    ("unit", "problem", "forbidden"),
    [
        ("hour", "'hour' is written 'Hours'", True),
        ("Hour", "'Hour' is better written 'Hours'", False),
        ("Token", "'Token' is better written 'Tokens'", False),
        ("gigabyte-seconds", "'gigabyte' is written GB", True),
        ("GBs", "'GBs' is written GB", True),
        ("gB", "'gB' is written GB", True),
        ("GB-Hour", "'Hour' is better written 'Hours'", False),
        ("GB-Fortnights", "'Fortnights' is not a time: Year, Month, Day, Hour, Minute, Second", True),
        ("GB/Hours", "'Hours' is better written 'Hour'", False),
        ("widgets", "'widgets' does not begin with a capital letter", True),
        ("0 Tokens", "a quantity of 0", True),
        ("1.5 Tokens", "'1.5 Tokens' is not of the form", True),
        ("GB per Hour", "'GB per Hour' is written with a slash", True),
        ("", "'' is not of the form", True),
    ],
)
def test_units_that_are_not(unit: str, problem: str, forbidden: bool) -> None:
    """What is wrong, and whether FOCUS forbids it or advises against it."""
    found = problem_of(unit)
    assert found is not None
    assert found[0].startswith(problem)
    assert found[1] is forbidden
