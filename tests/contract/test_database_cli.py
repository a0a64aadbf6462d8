"""`collector database` as it is typed, on every store that lasts: SQLite, PostgreSQL, TimescaleDB of both editions."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from opentelemetry.proto.metrics.v1.metrics_pb2 import HistogramDataPoint

from collector.cli.database.examples import COMMANDS, QUERIES
from collector.cli.main import command
from collector.storage.store import open_store
from tests.support import otlp_builder as otlp
from tests.support.module_database import NAMES, module_database

S = 10**9
TRACE = "5b8efff798038103d269b633813fc60c"
Run = Callable[..., Result]


@pytest.fixture
def run() -> Run:
    """Runs `collector database …` and returns what it printed."""

    def typed(*arguments: str, **env: str) -> Result:
        variables = {"COLLECTOR_CONNECTION_STRING": None, "COLLECTOR_CONFIG": None, **env}
        return CliRunner().invoke(command, ["database", *arguments], env=variables, prog_name="collector")

    return typed


@pytest.fixture(scope="module", params=NAMES)
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A database with a little of everything, which tests only read."""
    with module_database(request.param, request, tmp_path_factory) as address:
        fill(address)
        yield address


@pytest.fixture
def own_url(lasting_store_url: str) -> str:
    """The same, for one test to change."""
    fill(lasting_store_url)
    return lasting_store_url


def fill(url: str) -> None:
    """Store what is ten minutes old, and one span of a hundred days ago."""
    now = time.time_ns() - 600 * S
    histogram = HistogramDataPoint(
        time_unix_nano=now,
        start_time_unix_nano=now - 60 * S,
        count=4,
        sum=10.0,
        bucket_counts=[2, 2, 0],
        explicit_bounds=[1, 10],
        attributes=otlp.attributes({"http.route": "/order"}),
    )
    requests = (
        otlp.metrics_request(
            "checkout",
            [
                otlp.gauge("http.server.active_requests", [otlp.number_point(now, 3)], unit="{request}"),
                otlp.counter("shop.orders", [otlp.number_point(now, 5, start=now - 60 * S)]),
                otlp.histogram("http.server.request.duration", [histogram], unit="s"),
            ],
        ),
        otlp.spans_request(
            "checkout",
            [
                otlp.span(TRACE, "a" * 16, "POST /order", now, now + 2 * S, attrs={"http.route": "/order"}),
                otlp.span(
                    TRACE,
                    "b" * 16,
                    "pay [red]\x1b[31m",
                    now + S,
                    now + 2 * S,
                    parent="a" * 16,
                    error="declined",
                ),
                otlp.span("2" * 32, "c" * 16, "old", now - 100 * 86400 * S, now - 100 * 86400 * S + S),
            ],
        ),
        otlp.logs_request(
            "checkout",
            [otlp.log(now, "card\ndeclined", severity=17, severity_text="ERROR", trace_id=TRACE)],
        ),
    )
    with closing(open_store(url)) as store:
        store.migrate()
        otlp.store_requests(store, *requests)


def stdout_json(result: Result) -> Any:
    """What a command printed for machines; it must be JSON and nothing else."""
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


# --- tables -------------------------------------------------------------------------------------------------


def test_init_makes_the_tables_and_may_be_repeated(run: Run, lasting_store_url: str) -> None:
    """The second time there is nothing to do."""
    first = run("init", "--connection-string", lasting_store_url)
    assert first.exit_code == 0
    assert "✓ 0001" in first.stderr
    second = run("init", "--connection-string", lasting_store_url)
    assert (second.exit_code, second.stdout) == (0, "")
    assert "nothing to do" in second.stderr
    assert stdout_json(run("status", "--connection-string", lasting_store_url, "--format", "json"))["usable"]


def test_init_dry_run_prints_the_sql_and_does_nothing(run: Run, lasting_store_url: str) -> None:
    """What is printed on standard output is SQL alone."""
    shown = run("init", "--dry-run", "--connection-string", lasting_store_url)
    assert shown.exit_code == 0
    assert "CREATE VIEW" in shown.stdout
    assert "would run" in shown.stderr
    status = run("status", "--connection-string", lasting_store_url, "--format", "json")
    assert status.exit_code == 1
    assert json.loads(status.stdout)["schema_version"] == 0
    assert "collector database init" in status.stderr


def test_migrate_is_init_by_its_other_name(run: Run, lasting_store_url: str) -> None:
    """An empty database is one that lacks every migration."""
    assert run("migrate", "--connection-string", lasting_store_url).exit_code == 0
    assert run("status", "--connection-string", lasting_store_url).exit_code == 0


def test_status_shows_version_edition_and_positions(run: Run, url: str) -> None:
    """The queue that wrote three batches is at 3."""
    status = stdout_json(run("status", "--format", "json", "--connection-string", url))
    assert status["schema_version"] == status["expected_version"]
    assert status["pending"] == []
    assert status["edition"].startswith(("SQLite", "PostgreSQL"))
    assert [(str(otlp.QUEUE), 3)] == [(p["queue_id"], p["position"]) for p in status["positions"]]


def test_test_connection_shows_every_step(run: Run, url: str) -> None:
    """All ✓, and machines can read it too."""
    shown = run("test-connection", "--connection-string", url)
    assert shown.exit_code == 0
    assert "✓ write and roll back" in shown.stdout
    assert "✗" not in shown.stdout
    steps = stdout_json(run("test-connection", "--format", "json", "--connection-string", url))
    assert all(step["ok"] for step in steps)


def test_test_connection_fails_at_the_step_that_fails(run: Run, lasting_store_url: str) -> None:
    """Without tables the schema step, or in SQLite the file that is not there."""
    shown = run("test-connection", "--connection-string", lasting_store_url)
    assert shown.exit_code == 1
    assert "collector database init" in shown.stdout
    assert shown.stdout.strip().splitlines()[-1].startswith("✗")


# --- sizes and ages -----------------------------------------------------------------------------------------


def test_stats_shows_rows_and_ages_of_every_table(run: Run, url: str) -> None:
    """As a table for people, and exact for machines."""
    shown = run("stats", "--connection-string", url)
    assert "otlp_spans" in shown.stdout
    assert "rows" in shown.stderr
    tables = {
        t["table"]: t for t in stdout_json(run("stats", "--format", "json", "--connection-string", url))
    }
    assert tables["otlp_spans"]["rows"] == 3
    assert tables["otlp_spans"]["oldest"] < tables["otlp_spans"]["newest"]
    assert tables["otlp_logs"]["oldest"] == tables["otlp_logs"]["newest"]
    rows = list(
        csv.DictReader(io.StringIO(run("stats", "--format", "csv", "--connection-string", url).stdout))
    )
    assert {row["table"]: int(row["rows"]) for row in rows} == {name: t["rows"] for name, t in tables.items()}


def test_cleanup_deletes_only_what_is_old(run: Run, own_url: str) -> None:
    """The dry run counts what the real one then deletes."""
    arguments = ("--retention-days", "90", "--connection-string", own_url, "--format", "json")
    would = stdout_json(run("cleanup", "--dry-run", *arguments))
    assert would["otlp_spans"] == 1
    assert sum(would.values()) == 1
    assert would == stdout_json(run("cleanup", *arguments))
    assert sum(stdout_json(run("cleanup", *arguments)).values()) == 0
    assert "otlp_logs" in run("cleanup", "--retention-days", "0", "--connection-string", own_url).stdout


def test_cleanup_without_an_age_says_what_is_missing(run: Run, url: str) -> None:
    """Nothing is deleted by a guess."""
    result = run("cleanup", "--connection-string", url)
    assert result.exit_code == 2
    assert "--retention-days" in result.stderr


# --- questions ----------------------------------------------------------------------------------------------

QUESTIONS = {
    "services": "checkout",
    "metrics": "http.server.active_requests",
    "metrics shop": "shop.orders",
    "latest http.server.active_requests": "{request}",
    "latest http.server.request.duration": "4 × 2.5",
    "range http.server.active_requests --step 5m": "3",
    "range http.server.request.duration -a p50 --group-by http.route": "http.route=/order",
    "range shop.orders -a increase": "5",
    "slowest-traces": TRACE,
    "spans --name old --days 200": "old",
    "spans --label http.route=/order": "POST /order",
    "spans --min-duration 1500ms --status unset --service checkout": "POST /order",
    "errors": "declined",
    f"trace {TRACE}": "✗ declined",
    "logs --severity error": "card⏎declined",
    f"logs --trace {TRACE} --text card": "ERROR",
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_questions_have_answers(run: Run, url: str, question: str) -> None:
    """As a table; as JSON and CSV they are machine-clean."""
    shown = run("query", *shlex.split(question), "--connection-string", url)
    assert shown.exit_code == 0, shown.output
    assert QUESTIONS[question] in shown.stdout
    assert "\x1b" not in shown.stdout
    assert stdout_json(run("query", "--connection-string", url, "--format", "json", *shlex.split(question)))
    table = run("query", *shlex.split(question), "--format", "csv", "--connection-string", url)
    rows = list(csv.reader(io.StringIO(table.stdout)))
    assert len(rows) > 1
    assert {len(row) for row in rows} == {len(rows[0])}


def test_query_without_a_question_says_how_much_there_is(run: Run, url: str) -> None:
    """Per signal, ever and lately."""
    rows = stdout_json(run("query", "--days", "7", "--connection-string", url, "--format", "json"))
    assert {row["signal"]: (row["items"], row["lately"]) for row in rows} == {
        "traces": (3, 2),
        "metrics": (3, 3),
        "logs": (1, 1),
        "costs": (0, 0),
    }
    assert "slowest-traces" in run("query", "--connection-string", url).stderr


def test_options_of_query_count_for_its_questions(run: Run, url: str) -> None:
    """Before the question or after it."""
    before = run(
        "query", "--connection-string", url, "--days", "200", "--limit", "1", "--format", "csv", "spans"
    )
    after = run(
        "query", "spans", "--connection-string", url, "--days", "200", "--limit", "1", "--format", "csv"
    )
    assert before.stdout == after.stdout
    assert len(before.stdout.splitlines()) == 2


@pytest.mark.parametrize("question", [["spans"], ["range", "shop.orders", "--step", "365d"], ["logs"]])
def test_a_window_can_be_said_in_two_ways(run: Run, url: str, question: list[str]) -> None:
    """As OpenTelemetry's people say it, and as `collector cost` does."""
    asked = ("query", *question, "--connection-string", url, "--format", "csv")
    found = run(*asked, "--start", "2020-01-01", "--end", "2030-01-01")
    assert found.exit_code == 0, found.output
    assert run(*asked, "--from", "2020-01-01", "--to", "2030-01-01").stdout == found.stdout
    assert len(found.stdout.splitlines()) > 1
    assert len(run(*asked, "--from", "2020-01-01", "--to", "2020-01-02").stdout.splitlines()) <= 1


def test_sql_of_ones_own_is_answered(run: Run, url: str) -> None:
    """In every format; what is cut off is said."""
    sql = "SELECT name, duration_ms FROM spans ORDER BY name"
    shown = run("query", "--sql", sql, "--limit", "2", "--connection-string", url)
    assert "POST /order" in shown.stdout
    assert "--limit" in shown.stderr
    rows = stdout_json(run("query", "--sql", sql, "--format", "json", "--connection-string", url))
    assert rows[0] == {"name": "POST /order", "duration_ms": 2000.0}
    count = run(
        "query", "--sql", "SELECT sum(spans) AS n FROM traces", "--format", "json", "--connection-string", url
    )
    assert stdout_json(count) == [{"n": 3}]


@pytest.mark.parametrize("sql", ["DELETE FROM otlp_spans", "SELECT nonsense FROM spans", "DROP VIEW spans"])
def test_sql_that_writes_or_is_wrong_fails(run: Run, url: str, sql: str) -> None:
    """And leaves everything as it is."""
    failed = run("query", "--sql", sql, "--connection-string", url)
    assert (failed.exit_code, failed.stdout) == (1, "")
    assert failed.stderr.startswith("Error: the query failed")
    assert stdout_json(run("query", "--format", "json", "--connection-string", url))[0]["items"] == 3


@pytest.mark.parametrize(
    ("arguments", "exit_code", "words"),
    [
        ("latest nothing", 0, "query metrics"),
        ("range nothing", 0, "further back"),
        (f"trace {'1' * 32}", 1, "no span"),
        ("trace xyz", 2, "hexadecimal"),
        ("range shop.orders --start tomorrow", 2, "is not a time"),
        ("range shop.orders -a mean", 2, "expected avg"),
        ("range http.server.active_requests -a rate", 1, "is a gauge"),
        ("spans --status bad", 2, "unset, ok, error"),
        ("spans --label x", 2, "KEY=VALUE"),
        ("spans --timeout soon", 2, "duration"),
        ("logs --severity loud", 2, "expected trace"),
    ],
)
def test_questions_without_an_answer_say_why(
    run: Run, url: str, arguments: str, exit_code: int, words: str
) -> None:
    """On standard error, with what to do; standard output stays empty."""
    result = run("query", *shlex.split(arguments), "--connection-string", url)
    assert (result.exit_code, result.stdout.strip()) == (exit_code, "")
    assert words in result.stderr


def test_what_is_left_out_is_said(run: Run, own_url: str) -> None:
    """Streams and lines beyond the limit, on standard error."""
    points = [otlp.number_point(time.time_ns() - n * S, n, {"n": n}) for n in range(12)]
    with closing(open_store(own_url)) as store:
        otlp.store_requests(store, otlp.metrics_request("many", [otlp.gauge("many", points)]))
    few = run("query", "latest", "many", "--limit", "5", "--connection-string", own_url)
    assert "7 more streams" in few.stderr
    wide = run("query", "range", "many", "--group-by", "series", "--connection-string", own_url)
    assert "4 more lines" in wide.stderr


def test_a_database_without_tables_is_an_error_with_the_remedy(run: Run, lasting_store_url: str) -> None:
    """Not an empty answer."""
    result = run("query", "services", "--connection-string", lasting_store_url)
    assert result.exit_code == 1
    assert "collector database init" in result.stderr


# --- examples -----------------------------------------------------------------------------------------------


def test_commands_in_examples_run(run: Run, own_url: str) -> None:
    """To the letter, but for the address; the last one deletes."""
    for _, example in COMMANDS:
        program, *arguments = shlex.split(example.format(url=shlex.quote(own_url)))
        assert program == "collector"
        result = run(*arguments[1:])
        assert result.exit_code == 0, result.output


@pytest.mark.parametrize("example", QUERIES, ids=lambda example: example.question)
def test_sql_in_examples_runs(run: Run, url: str, example: Any) -> None:
    """Each in the database's own words."""
    sql = example.sqlite if url.startswith("sqlite") else example.postgresql
    result = run("query", "--sql", sql, "--format", "csv", "--connection-string", url)
    assert result.exit_code == 0, result.output
    # Roll-ups may lag behind where they are not computed when read.
    if "_hourly" not in sql:
        assert len(result.stdout.splitlines()) > 1


def test_examples_prints_them_all(run: Run) -> None:
    """With the address that was given."""
    for backend in ("sqlite", "postgresql"):
        shown = run("examples", "--backend", backend, "--connection-string", "sqlite:///mine.db").stdout
        assert all(line.format(url="sqlite:///mine.db") in shown for _, line in COMMANDS)
        assert all(getattr(example, backend) in shown for example in QUERIES)


# --- people at a terminal -----------------------------------------------------------------------------------


def test_cleanup_asks_at_a_terminal(tmp_path: Path) -> None:
    """It shows what would go, and takes no for an answer."""
    url = f"sqlite:///{tmp_path / 'telemetry.db'}"
    with closing(open_store(url)) as store:
        store.migrate()
        old = time.time_ns() - 100 * 86400 * S
        otlp.store_requests(store, otlp.logs_request("s", [otlp.log(old, "x")]))
        for answer, left in ((b"n\n", 1), (b"y\n", 0)):
            status, screen = _at_a_terminal(
                ["cleanup", "--retention-days", "90", "--connection-string", url], answer
            )
            assert (status == 0) is (left == 0)
            assert "Delete 1 rows" in screen
            assert store.query("SELECT count(*) FROM logs").rows == [(left,)]


def _at_a_terminal(arguments: list[str], answer: bytes) -> tuple[int, str]:
    """Run with a terminal as input and output; return the exit code and what was on the screen."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "collector", "database", *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        os.write(ours, answer)
        screen = b""
        try:
            while chunk := os.read(ours, 4096):
                screen += chunk
        except OSError:
            pass  # the other end has closed: Linux says EIO
        process.wait(timeout=30)
    os.close(ours)
    return process.returncode, screen.decode()
