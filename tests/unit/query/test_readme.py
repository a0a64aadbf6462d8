"""The read-me tells the truth."""

from __future__ import annotations

import re
from contextlib import closing
from pathlib import Path

import pytest
from opentelemetry.proto.metrics.v1.metrics_pb2 import HistogramDataPoint

import collector.query
from collector.cli.database.group import command
from collector.model.clock import SystemClock
from collector.storage.store import open_store
from collector.storage.views import VIEWS
from tests.support import otlp_builder as otlp

README = (Path(collector.query.__path__[0]) / "README.md").read_text()
TRACE = "5b8efff798038103d269b633813fc60c"


def test_every_view_is_described_column_by_column() -> None:
    """In the order of the columns, and no other; levels of costs have the columns of costs."""
    sections = re.split(r"^### `(\w+)`$", README, flags=re.MULTILINE)
    described = {
        view: tuple(re.findall(r"^\| `(\w+)` \| \S", section, flags=re.MULTILINE))
        for view, section in zip(sections[1::2], sections[2::2], strict=True)
    }
    levels = ("cost_origins", "cost_allocations", "cost_requests")
    assert described | dict.fromkeys(levels, described["costs"]) == VIEWS


def test_every_question_is_named() -> None:
    """And none that does not exist."""
    named = set(re.findall(r"collector database query ([a-z][a-z-]*)(?: \| ([a-z-]+))?", README))
    found = {name for names in named for name in names if name}
    query = command.commands["query"]
    assert found == set(query.commands)  # type: ignore[attr-defined]  # it is a group


def test_the_example_in_python_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """To the letter, on a database with something to print for each part."""
    now = SystemClock().unix_nano() - 10**9
    monkeypatch.chdir(tmp_path)
    point = HistogramDataPoint(
        time_unix_nano=now, count=2, bucket_counts=[2, 0], explicit_bounds=[8],
        attributes=otlp.attributes({"http.route": "/order"}),
    )  # fmt: skip
    with closing(open_store("sqlite:///telemetry.db")) as store:
        store.migrate()
        otlp.store_requests(
            store,
            otlp.metrics_request(
                "shop",
                [
                    otlp.gauge("http.server.active_requests", [otlp.number_point(now, 7)]),
                    otlp.histogram("http.server.request.duration", [point]),
                ],
            ),
            otlp.spans_request("shop", [otlp.span(TRACE, "a" * 16, "POST /order", now, now + 10**6)]),
            otlp.logs_request("shop", [otlp.log(now, "declined", severity=17)]),
        )
    (example,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    exec(compile(example, "README.md", "exec"), {})
    printed = capsys.readouterr().out
    for expected in ("shop 7", "'/order'", "7.6", "POST /order 1.0", "declined"):
        assert expected in printed
