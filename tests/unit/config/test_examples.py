"""Every configuration in the repository is valid, without a warning, and says what its components take."""

from __future__ import annotations

from pathlib import Path

import pytest

from collector.components import FACTORIES
from collector.config.load import default_text, load
from collector.config.sources import Surroundings
from collector.service.config import Config, load_config

ROOT = Path(__file__).parents[3]
FILES = sorted([ROOT / "config/collector.yaml", *(ROOT / "config/examples").glob("*.yaml")])
DEPLOYED = sorted((ROOT / "deploy").rglob("collector.yaml"))
SURROUNDINGS = Surroundings(
    {"HOME": "/home/me", "COLLECTOR_DATABASE": "postgresql://me:pw@db:5432/telemetry"}
)


def read(*locations: str) -> Config:
    return load_config(load(locations, (), SURROUNDINGS), FACTORIES)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_an_example_is_valid_and_has_no_warning(file: Path) -> None:
    """With the real components, and nothing in the environment but what its first lines ask for."""
    config = read(str(file))
    assert config.warnings == ()
    assert config.pipelines


@pytest.mark.parametrize("file", DEPLOYED, ids=lambda file: file.parent.name)
def test_a_deployed_configuration_is_valid(file: Path) -> None:
    """As the manifests mount it; the connection string stands in for the file of the Secret."""
    settings = ("exporters.timescaledb.connection_string=postgresql://me@db:5432/telemetry",)
    config = load_config(load((str(file),), settings, SURROUNDINGS), FACTORIES)
    assert config.warnings == ()
    assert {str(pipeline) for pipeline in config.pipelines} == {"traces", "metrics", "logs"}


def test_there_are_examples() -> None:
    """For each store, and for the usual places of a collector."""
    names = {file.stem for file in FILES}
    assert names >= {"collector", "sqlite", "postgresql", "timescaledb", "gateway", "sidecar", "debug"}


def test_the_built_in_default_listens_on_loopback_and_takes_every_signal() -> None:
    """It needs no file, no database, and nobody else can reach it."""
    config = read()
    assert {str(pipeline) for pipeline in config.pipelines} == {"traces", "metrics", "logs"}
    assert "0.0.0.0" not in default_text()
    (sqlite,) = config.exporters.values()
    assert sqlite.config.path == "/home/me/.local/state/collector/collector.db"
