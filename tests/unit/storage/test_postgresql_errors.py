"""What a database error means for the batch."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import errors
from psycopg.pq import DiagnosticField

from collector.model.errors import PermanentError, RetryableError
from collector.storage.postgresql.errors import classify, connect_error, row_refused
from collector.storage.store import RowRefusedError, SchemaError
from collector.storage.tables import LOGS, SPANS


def _error(state: str) -> psycopg.Error:
    try:
        error = errors.lookup(state)("something happened")
    except KeyError:
        error = psycopg.DatabaseError("something happened")
    error.sqlstate = state
    return error


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ("08006", "connection"),
        ("25006", "read_only"),
        ("28P01", "authentication"),
        ("3D000", "no_database"),
        ("40001", "conflict"),
        ("40P01", "deadlock"),
        ("42501", "privileges"),
        ("42601", "database_error"),
        ("53100", "disk_full"),
        ("53200", "out_of_resources"),
        ("53300", "too_many_connections"),
        ("55P03", "lock_timeout"),
        ("57014", "timeout"),
        ("57P01", "shutdown"),
        ("57P03", "shutdown"),
        ("58030", "server_error"),
        ("XX000", "server_error"),
        ("P0001", "database_error"),
    ],
)
def test_what_may_pass_is_retryable(state: str, reason: str) -> None:
    """Everything but the allow-list, with a word from a bounded set as the reason."""
    error = classify(_error(state))
    assert type(error) is RetryableError
    assert error.reason == reason


@pytest.mark.parametrize("state", ["22003", "22021", "22P02", "22P04", "23502", "23505"])
def test_faults_of_the_data_are_permanent(state: str) -> None:
    """Data exceptions and constraint violations: another attempt would end the same."""
    error = classify(_error(state))
    assert type(error) is PermanentError
    assert error.reason == "invalid_data"


@pytest.mark.parametrize("state", ["3F000", "42P01", "42703", "42883", "42804"])
def test_other_tables_than_ours_are_a_matter_of_migration(state: str) -> None:
    """Which somebody can do while the batch waits."""
    assert type(classify(_error(state))) is SchemaError


def test_a_missing_partition_is_made_at_the_next_attempt() -> None:
    """It is reported as a violated constraint, and no fault of the data."""
    error = errors.CheckViolation('no partition of relation "otlp_spans" found for row')
    error.sqlstate = "23514"
    assert classify(error).reason == "no_partition"
    assert isinstance(classify(error), RetryableError)


def test_a_lost_connection_has_no_state() -> None:
    """The client library speaks: nobody knows whether the server did it."""
    error = classify(psycopg.OperationalError("server closed the connection unexpectedly\n\tThis probably"))
    assert isinstance(error, RetryableError)
    assert (error.reason, str(error)) == ("connection", "server closed the connection unexpectedly")


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ('password authentication failed for user "x"', "authentication"),
        ("no pg_hba.conf entry for host", "authentication"),
        ('database "x" does not exist', "no_database"),
        ("sorry, too many clients already", "too_many_connections"),
        ("the database system is starting up", "shutdown"),
        ("Connection refused", "connection"),
    ],
)
def test_no_connection_is_always_retryable(message: str, reason: str) -> None:
    """Passwords are rotated, databases created, servers started."""
    error = connect_error(psycopg.OperationalError(message))
    assert type(error) is RetryableError
    assert error.reason == reason


def _in_copy(state: type[psycopg.Error], context: str) -> psycopg.Error:
    return state(
        "no",
        info={
            DiagnosticField.SQLSTATE: str(state.sqlstate).encode(),
            DiagnosticField.CONTEXT: context.encode(),
        },
    )


@pytest.mark.parametrize(
    "context",
    [
        "COPY otlp_logs, line 2",
        'COPY otlp_logs, line 2, column body: "x"',
        "PL/pgSQL function f(integer) line 3 at RAISE\nCOPY otlp_logs, line 2",
        "COPY otlp_logs, Zeile 2",
        "COPY otlp_logs，第 2 行",
    ],
)
def test_the_row_is_the_one_that_the_server_names(context: str) -> None:
    """In whatever language it does."""
    error = row_refused(_in_copy(errors.CheckViolation, context), {SPANS: [(1,)], LOGS: [(1,), (2,)]})
    assert isinstance(error, RowRefusedError)
    assert (error.table, error.place, error.row, error.reason) == (LOGS, 1, (2,), "invalid_data")


@pytest.mark.parametrize(
    ("state", "context"),
    [
        (errors.CheckViolation, ""),
        (errors.CheckViolation, "PL/pgSQL function f(integer) line 1 at RAISE"),
        (errors.CheckViolation, "COPY other, line 1"),
        (errors.CheckViolation, "COPY otlp_logs, line 3"),
        (errors.CheckViolation, "COPY otlp_logs, line 0"),
        (errors.QueryCanceled, "COPY otlp_logs, line 1"),
    ],
)
def test_no_row_is_named_in_vain(state: type[psycopg.Error], context: str) -> None:
    """Only one of those that were given, and only if it is a refusal."""
    error = row_refused(_in_copy(state, context), {LOGS: [(1,), (2,)]})
    assert type(error) is type(classify(_error(str(state.sqlstate))))
