"""The plugin that asks every store after every test whether costs add up would notice if they did not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from collector.cost.protobuf import encode_request
from collector.model.signal import Signal
from collector.storage.encoding import payload_encoder
from collector.storage.store import open_store
from tests.support import balance
from tests.support.cost_samples import amounts, ledger
from tests.support.postgres import Server


def spoil(url: str) -> None:
    """Write costs that do not add up."""
    records = ledger()
    records[2] = replace(records[2], amounts=amounts("0.5", "0.5"))
    with closing(open_store(url)) as store:
        store.migrate()
        encoded = payload_encoder(Signal.COSTS).encode([encode_request(records)])
        store.write(encoded, queue_id=uuid4(), start=0, end=1)


@pytest.fixture
def strictly(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As in a test that is not marked."""
    monkeypatch.setattr(balance, "_unbalanced_now", [])
    yield
    balance._found.clear()


@pytest.mark.unbalanced
def test_in_a_file(tmp_path: Path) -> None:
    """Wherever in the test's folder it is."""
    spoil(f"sqlite:///{tmp_path / 'deep' / 'down.anything'}")
    with pytest.raises(AssertionError, match=r"down\.anything"):
        balance.assert_files_balanced(tmp_path)


@pytest.mark.unbalanced
@pytest.mark.usefixtures("strictly")
def test_in_memory() -> None:
    """When it is closed."""
    spoil("sqlite://")
    assert balance._found


@pytest.mark.unbalanced
@pytest.mark.usefixtures("strictly")
def test_in_a_database(postgresql_server: Server) -> None:
    """Before it is dropped."""
    url = postgresql_server.create_database(timescaledb=False)
    spoil(url)
    with pytest.raises(AssertionError):
        postgresql_server.drop_database(url)
    postgresql_server.drop_database(url)
