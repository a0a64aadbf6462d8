"""The options of the exporters `postgresql` and `timescaledb`, and what becomes of them."""

from __future__ import annotations

import pytest

from collector.config.types import ConnectionString, Duration
from collector.exporters.postgresql.config import PostgresqlConfig
from collector.exporters.timescaledb import factory
from collector.exporters.timescaledb.config import (
    CompressionConfig,
    TimescaledbConfig,
    TimescaledbRetentionConfig,
)
from collector.model.signal import Signal
from collector.storage.exporter import RetentionConfig, StoreExporter
from collector.storage.postgresql.exporter import store_options
from collector.storage.postgresql.options import Layout, StoreOptions
from collector.storage.postgresql.store import PostgresqlStore
from tests.support.components import make_house

SECRET = "hunter2"


def _config(address: str = "postgresql://u@h/d", schema: str = "telemetry") -> PostgresqlConfig:
    return PostgresqlConfig(connection_string=ConnectionString(address), schema=schema)


def _options(config: TimescaledbConfig) -> StoreOptions:
    exporter: StoreExporter = factory.create(make_house("timescaledb", "exporter").settings, config)
    assert isinstance(exporter.store, PostgresqlStore)
    return exporter.store.options


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://u@h/d?sslmode=verify-full",
        "postgres://h",
        "timescaledb://u:p@h:5433/d",
        "host=h dbname=d",
        "postgresql://u@h1:1,h2:2/d?target_session_attrs=read-write",
    ],
)
def test_every_way_to_write_an_address_is_taken(address: str) -> None:
    """URLs of three schemes, and libpq's own form."""
    assert list(_config(address).validate()) == []


@pytest.mark.parametrize(
    "address", ["", f"postgresql://u:{SECRET}@h:port:/d?x", f"host {SECRET}", "mysql://h/d"]
)
def test_what_is_no_address_is_said_without_its_password(address: str) -> None:
    """Libpq's message would quote it."""
    [problem] = _config(address).validate()
    assert problem.key == "connection_string"
    assert SECRET not in problem.message


@pytest.mark.parametrize("schema", ["", "pg_own", "x" * 64, "nul\0"])
def test_a_schema_that_postgresql_would_not_take_is_an_error(schema: str) -> None:
    """Or would cut off."""
    assert [problem.key for problem in _config(schema=schema).validate()] == ["schema"]


def test_retention_that_is_left_out_is_not_this_collectors_business() -> None:
    """0 is something else: for ever."""
    config = PostgresqlConfig(
        connection_string=ConnectionString("postgresql://"),
        retention=RetentionConfig(traces=Duration(0), logs=Duration(60)),
    )
    assert store_options(config).retention_s == {Signal.TRACES: 0.0, Signal.LOGS: 60.0}
    assert config.retention.ages_s() == {Signal.LOGS: 60.0}


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (None, None),
        (CompressionConfig(), 6 * 3600.0),
        (CompressionConfig(after=Duration(60)), 60.0),
        (CompressionConfig(enabled=False), 0.0),
    ],
)
def test_compression_is_left_alone_set_or_taken_away(
    config: CompressionConfig | None, expected: float | None
) -> None:
    """Nothing said is no opinion."""
    address = ConnectionString("postgresql://")
    options = _options(TimescaledbConfig(connection_string=address, compression=config))
    assert options.compress_after_s == expected
    assert options.layout is Layout.HYPERTABLES


def test_rollups_have_a_retention_of_their_own() -> None:
    """They are there to outlive what they were made of."""
    config = TimescaledbConfig(
        connection_string=ConnectionString("postgresql://"),
        retention=TimescaledbRetentionConfig(
            metrics=Duration(60), rollups=Duration(120), cost_hourly=Duration(0), cost_daily=Duration(180)
        ),
    )
    options = _options(config)
    assert options.retention_s == {Signal.METRICS: 60.0}
    assert options.rollup_retention_s == {"hourly": 120.0, "cost_hourly": 0.0, "cost_daily": 180.0}


def test_days_are_not_dropped_before_the_hours_of_which_they_are() -> None:
    """They could not be made again."""
    wrong = TimescaledbRetentionConfig(cost_hourly=Duration(120), cost_daily=Duration(119))
    assert [problem.key for problem in wrong.validate()] == ["cost_daily"]
    assert (
        list(TimescaledbRetentionConfig(cost_hourly=Duration(120), cost_daily=Duration(0)).validate()) == []
    )


def test_a_url_says_schema_and_layout() -> None:
    """For the command line; the rest of the URL is libpq's, and stays as it is."""
    store = PostgresqlStore.from_url("timescaledb://u:p%40@h/d?schema=my&options=-c%20x%3D1")
    assert (store.options.schema, store.options.layout) == ("my", Layout.HYPERTABLES)
    parameters = store._connections.parameters()
    assert (parameters["user"], parameters["password"], parameters["options"]) == ("u", "p@", "-c x=1")
    plain = PostgresqlStore.from_url("postgresql://h/d")
    assert (plain.options.schema, plain.options.layout) == ("telemetry", None)
