"""Which database a command is about."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from collector.cli.main import command

Run = Callable[..., Result]

CONFIG = """
receivers: {{otlp: {{protocols: {{grpc: }}}}}}
exporters:
  sqlite:
    path: {path}
    retention: {{logs: 1d}}
  sqlite/second: {{path: {path}.second}}
  debug:
service:
  pipelines:
    logs: {{receivers: [otlp], exporters: [sqlite, sqlite/second, debug]}}
"""


@pytest.fixture
def run() -> Run:
    """Runs `collector database …`."""

    def typed(*arguments: str, **env: str) -> Result:
        variables = {"COLLECTOR_CONNECTION_STRING": None, "COLLECTOR_CONFIG": None, **env}
        return CliRunner().invoke(command, ["database", *arguments], env=variables, prog_name="collector")

    return typed


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration with two database exporters."""
    path = tmp_path / "collector.yaml"
    path.write_text(CONFIG.format(path=tmp_path / "telemetry.db"))
    return path


def test_the_exporter_of_a_configuration_is_the_database(run: Run, config: Path) -> None:
    """With its own options; `cleanup` knows its retention."""
    arguments = ("--config", str(config), "--exporter", "sqlite")
    assert run("init", *arguments).exit_code == 0
    assert (config.parent / "telemetry.db").exists()
    assert not (config.parent / "telemetry.db.second").exists()
    cleaned = run("cleanup", *arguments, "--format", "json")
    assert json.loads(cleaned.stdout)["otlp_logs"] == 0


def test_of_several_exporters_one_must_be_chosen(run: Run, config: Path) -> None:
    """The message lists them."""
    result = run("stats", "--config", str(config))
    assert result.exit_code == 2
    assert "sqlite, sqlite/second" in result.stderr
    assert "--exporter" in result.stderr
    wrong = run("stats", "--config", str(config), "--exporter", "debug")
    assert wrong.exit_code == 2
    assert "debug is no database exporter" in wrong.stderr


def test_a_wrong_configuration_ends_with_78(run: Run, tmp_path: Path) -> None:
    """With the place of the mistake."""
    path = tmp_path / "wrong.yaml"
    path.write_text("exporters:\n  sqlite:\n    pth: x.db\n")
    result = run("stats", "--config", str(path))
    assert result.exit_code == 78
    assert f"{path}:3:5" in result.stderr


def test_without_any_it_is_that_of_the_built_in_default(run: Run, tmp_path: Path) -> None:
    """The file that `collector run` without a configuration writes to."""
    assert run("init", COLLECTOR_DATA_DIR=str(tmp_path / "state")).exit_code == 0
    assert list((tmp_path / "state").glob("*.db"))


def test_the_environment_names_it_too_and_the_command_line_wins(
    run: Run, tmp_path: Path, config: Path
) -> None:
    """COLLECTOR_CONNECTION_STRING, unless --connection-string or --config is written."""
    first, second = (f"sqlite:///{tmp_path / name}" for name in ("first.db", "second.db"))
    assert run("init", COLLECTOR_CONNECTION_STRING=first).exit_code == 0
    assert (tmp_path / "first.db").exists()
    assert run("init", "--connection-string", second, COLLECTOR_CONNECTION_STRING=first).exit_code == 0
    assert (tmp_path / "second.db").exists()
    arguments = ("init", "--config", str(config), "--exporter", "sqlite")
    assert run(*arguments, COLLECTOR_CONNECTION_STRING=first).exit_code == 0
    assert (tmp_path / "telemetry.db").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--backend", "postgresql", "--connection-string", "sqlite:///x.db"), "--backend is postgresql"),
        (("--backend", "sqlite", "--connection-string", "postgresql://h/d"), "--backend is sqlite"),
        (("--connection-string", "mysql://h/d"), "mysql"),
        (("--connection-string", "x.db"), "sqlite"),
        (("--connection-string", "sqlite:///x.db", "--config", "y.yaml"), "not both"),
        (("--connection-string", "sqlite:///x.db", "--exporter", "sqlite"), "--config"),
        (("--backend", "oracle"), "sqlite"),
    ],
)
def test_what_does_not_fit_together_is_a_usage_error(
    run: Run, arguments: tuple[str, ...], words: str
) -> None:
    """Exit code 2, before anything is touched."""
    result = run("stats", *arguments)
    assert result.exit_code == 2
    assert words in result.stderr


def test_backend_is_checked_against_a_configuration(run: Run, config: Path) -> None:
    """Timescaledb is not sqlite."""
    result = run("stats", "--config", str(config), "--exporter", "sqlite", "--backend", "timescaledb")
    assert result.exit_code == 2
    assert "exporter sqlite" in result.stderr


@pytest.mark.parametrize("verb", ["stats", "test-connection", "init", "status", "query"])
def test_passwords_are_never_printed(run: Run, verb: str) -> None:
    """Nothing listens on port 1; the message names the place."""
    result = run(verb, "--connection-string", "postgresql://me:geh%2Feim@127.0.0.1:1/db?connect_timeout=2")
    assert result.exit_code == 1
    assert "127.0.0.1" in result.output
    assert "geh" not in result.output


@pytest.mark.parametrize("verb", ["stats", "status", "query", "cleanup"])
def test_a_file_that_does_not_exist_is_not_made_by_looking(run: Run, tmp_path: Path, verb: str) -> None:
    """Only `init` and `migrate` make it."""
    arguments = ("--retention-days", "1") if verb == "cleanup" else ()
    result = run(verb, *arguments, "--connection-string", f"sqlite:///{tmp_path / 'none.db'}")
    assert result.exit_code == 1
    assert "collector database init" in result.stderr
    assert list(tmp_path.iterdir()) == []
