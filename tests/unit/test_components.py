"""The list of components: complete, and lazy."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import collector
from collector.components import EXPORTERS, EXTENSIONS, FACTORIES, INSTEAD, PROCESSORS, RECEIVERS, instead

PACKAGE = Path(collector.__path__[0])
LISTED = [
    (kind, type_name)
    for kind, modules in (("receivers", RECEIVERS), ("processors", PROCESSORS), ("exporters", EXPORTERS))
    for type_name in modules
]


@pytest.mark.parametrize(("kind", "type_name"), LISTED)
def test_every_listed_component_has_a_factory_of_its_name(kind: str, type_name: str) -> None:
    """A line in the list leads to a factory that calls itself the same, with a dataclass of options."""
    factory = getattr(FACTORIES, kind)[type_name]
    assert factory.type_name == type_name
    assert dataclasses.is_dataclass(factory.config)
    assert factory.signals


@pytest.mark.parametrize("kind", ["receivers", "processors", "exporters", "extensions"])
def test_every_folder_is_listed(kind: str) -> None:
    """A component's folder that is not in the list would be dead code."""
    folders = {path.parent.name for path in (PACKAGE / kind).glob("*/factory.py")}
    assert folders == set(getattr(FACTORIES, kind))


def test_listing_the_names_imports_no_component() -> None:
    """The list can be read, for a help text or a "did you mean", without loading a driver."""
    script = (
        "import sys; from collector.components import FACTORIES\n"
        "names = [*FACTORIES.receivers, *FACTORIES.processors, *FACTORIES.exporters, *FACTORIES.extensions]\n"
        "assert 'sqlite' in FACTORIES.exporters and len(FACTORIES.exporters) > 3\n"
        "print([m for m in sys.modules if m.startswith(('collector.receivers.', 'collector.exporters.', "
        "'collector.processors.')) or m in ('grpc', 'psycopg', 'sqlite3', 'httptools')])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_factory_is_the_same_object_each_time() -> None:
    """Asking twice does not import twice."""
    assert FACTORIES.exporters["debug"] is FACTORIES.exporters["debug"]
    assert isinstance(sys.modules["collector.exporters.debug.factory"], ModuleType)


def test_an_otelcol_component_that_is_not_here_comes_with_advice() -> None:
    """Somebody who brings an otelcol file is told what to write instead."""
    advice = instead("exporter", "otlphttp")
    assert advice is not None
    assert "'timescaledb'" in advice
    assert instead("connector", "spanmetrics") is not None
    assert instead("exporter", "no_such_thing") is None


def test_advice_is_only_given_for_what_is_not_built() -> None:
    """Once a component is built, its excuse goes."""
    listed = {"receiver": RECEIVERS, "processor": PROCESSORS, "exporter": EXPORTERS, "extension": EXTENSIONS}
    for kind, advised in INSTEAD.items():
        assert not set(advised) & set(listed[kind])
