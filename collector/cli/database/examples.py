"""`database examples`: what to type. Every line of it is run by a test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import click


@dataclass(frozen=True, slots=True)
class Example:
    """A question in words and in SQL; the two databases tell the time and look into JSON in different ways."""

    question: str
    sqlite: str
    postgresql: str


COMMANDS: Final = (
    ("Make the tables", "collector database init --connection-string {url}"),
    ("See the SQL first", "collector database init --dry-run --connection-string {url}"),
    ("Does it work? Step by step", "collector database test-connection --connection-string {url}"),
    ("Schema version, edition, how far each queue is", "collector database status --connection-string {url}"),
    ("How much there is, how large, how old", "collector database stats --connection-string {url}"),
    ("Who sends", "collector database query services --connection-string {url}"),
    ("What is slow", "collector database query slowest-traces --days 7 --connection-string {url}"),
    ("What fails", "collector database query errors --days 7 --connection-string {url}"),
    (
        "A percentile over time",
        "collector database query range http.server.request.duration -a p95 --step 5m --connection-string {url}",
    ),
    (
        "A counter's rate, for a spreadsheet",
        "collector database query range shop.orders -a rate --format csv --connection-string {url}",
    ),
    (
        "Warnings and worse of one service",
        "collector database query logs --service checkout --severity warn --connection-string {url}",
    ),
    (
        "Your own question",
        'collector database query --sql "SELECT count(*) AS spans FROM spans" --connection-string {url}',
    ),
    (
        "What would go if 90 days were kept",
        "collector database cleanup --retention-days 90 --dry-run --connection-string {url}",
    ),
    ("Delete it", "collector database cleanup --retention-days 90 --yes --connection-string {url}"),
)

QUERIES: Final = (
    Example(
        "The slowest spans of the last hour",
        """SELECT time, service_name, name, duration_ms, trace_id FROM spans
WHERE time_unix_nano >= (strftime('%s', 'now') - 3600) * 1000000000
ORDER BY duration_ms DESC LIMIT 20""",
        """SELECT time, service_name, name, duration_ms, trace_id FROM spans
WHERE time >= now() - interval '1 hour'
ORDER BY duration_ms DESC NULLS LAST LIMIT 20""",
    ),
    Example(
        "Requests, errors and 95th percentile of every service, hour by hour",
        "SELECT hour, service_name, requests, errors, p95_ms FROM services_hourly ORDER BY hour DESC, service_name LIMIT 50",
        "SELECT hour, service_name, requests, errors, p95_ms FROM services_hourly ORDER BY hour DESC, service_name LIMIT 50",
    ),
    Example(
        "A metric by minute",
        """SELECT substr(time, 1, 16) AS minute, avg(value) AS average FROM metrics
WHERE metric = 'http.server.active_requests'
  AND time_unix_nano >= (strftime('%s', 'now') - 3600) * 1000000000
GROUP BY minute ORDER BY minute""",
        """SELECT date_trunc('minute', time) AS minute, avg(value) AS average FROM metrics
WHERE metric = 'http.server.active_requests' AND time >= now() - interval '1 hour'
GROUP BY minute ORDER BY minute""",
    ),
    Example(
        "Spans by an attribute",
        """SELECT attributes ->> '$."http.route"' AS route, count(*) AS spans, avg(duration_ms) AS average_ms FROM spans
WHERE service_name = 'checkout' AND attributes ->> '$."http.route"' IS NOT NULL
GROUP BY route ORDER BY spans DESC LIMIT 20""",
        """SELECT attributes ->> 'http.route' AS route, count(*) AS spans, avg(duration_ms) AS average_ms FROM spans
WHERE service_name = 'checkout' AND attributes ? 'http.route'
GROUP BY route ORDER BY spans DESC LIMIT 20""",
    ),
    Example(
        "The logs of the traces that failed",
        """SELECT l.time, l.service_name, l.severity_text, l.body FROM logs l
JOIN spans s ON s.trace_id = l.trace_id AND s.status = 'error'
WHERE s.time_unix_nano >= (strftime('%s', 'now') - 3600) * 1000000000
ORDER BY l.time LIMIT 50""",
        """SELECT l.time, l.service_name, l.severity_text, l.body FROM logs l
JOIN spans s ON s.trace_id = l.trace_id AND s.status = 'error'
WHERE s.time >= now() - interval '1 hour' AND l.time >= now() - interval '1 hour'
ORDER BY l.time LIMIT 50""",
    ),
    Example(
        "Which metrics have the most series",
        "SELECT metric, count(DISTINCT series_id) AS series FROM metrics_hourly GROUP BY metric ORDER BY series DESC LIMIT 20",
        "SELECT metric, count(DISTINCT series_id) AS series FROM metrics_hourly GROUP BY metric ORDER BY series DESC LIMIT 20",
    ),
    Example(
        "The mean of a histogram, by hour",
        """SELECT substr(time, 1, 13) AS hour, sum(sum) / sum(count) AS mean, sum(count) AS requests FROM histograms
WHERE metric = 'http.server.request.duration' AND temporality = 'delta' GROUP BY hour ORDER BY hour""",
        """SELECT date_trunc('hour', time) AS hour, sum(sum) / nullif(sum(count), 0) AS mean, sum(count) AS requests FROM histograms
WHERE metric = 'http.server.request.duration' AND temporality = 'delta' GROUP BY hour ORDER BY hour""",
    ),
)


@click.command("examples")
@click.option(
    "--backend",
    type=click.Choice(["sqlite", "postgresql", "timescaledb"]),
    default="sqlite",
    show_default=True,
    help="Whose SQL.",
)
@click.option("--connection-string", metavar="URL", help="What to put into the commands.")
def examples(backend: str, connection_string: str | None) -> None:
    """Commands and SQL to copy."""
    url = connection_string or (
        "sqlite:///telemetry.db" if backend == "sqlite" else "postgresql://collector@localhost/telemetry"
    )
    click.echo("# Commands")
    for what, line in COMMANDS:
        click.echo(f"\n# {what}\n{line.format(url=url)}")
    click.echo('\n\n-- SQL: with psql, sqlite3, or collector database query --sql "…"')
    for example in QUERIES:
        sql = example.sqlite if backend == "sqlite" else example.postgresql
        click.echo(f"\n-- {example.question}\n{sql};")
