"""`collector validate`, `components` and `print-config` as a person runs them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from collector.cli.main import command

CONFIG = """\
receivers: {otlp: {protocols: {grpc: }}}
exporters: {debug: }
service: {pipelines: {traces: {receivers: [otlp], exporters: [debug]}}}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "collector.yaml"
    path.write_text(CONFIG)
    return path


def run(*arguments: str | Path, **environment: str) -> Result:
    return CliRunner(env=environment).invoke(command, [str(argument) for argument in arguments])


def test_validate_says_that_a_configuration_is_valid(file: Path) -> None:
    """Exit code 0."""
    result = run("validate", "--config", file)
    assert (result.exit_code, result.stdout, result.stderr) == (0, f"{file}: valid\n", "")


def test_validate_says_what_a_reload_would_change(file: Path, tmp_path: Path) -> None:
    """And what becomes of it; nothing for what stays."""
    running = tmp_path / "running.yaml"
    running.write_text(CONFIG.replace("debug: }", "debug: {verbosity: detailed}, debug/two: }"))
    result = run("validate", "--config", file, "--against", running)
    assert result.exit_code == 0
    assert result.stdout.splitlines()[1:] == [
        "  exporter debug changed: a new one takes over its queues, and all that waits in them"
    ]
    assert run("validate", "--config", file, "--against", file).stdout == f"{file}: valid\n"


def test_validate_without_a_file_checks_the_default() -> None:
    """The one that `collector run` would use."""
    result = run("validate", HOME="/home/me")
    assert (result.exit_code, result.stdout) == (0, "default.yaml (built in): valid\n")


def test_validate_takes_the_file_from_the_environment(file: Path) -> None:
    """`COLLECTOR_CONFIG`, as every command does."""
    assert run("validate", COLLECTOR_CONFIG=str(file)).stdout == f"{file}: valid\n"


def test_validate_prints_every_mistake_and_exits_with_78(file: Path) -> None:
    """On standard error, with a summary."""
    file.write_text(CONFIG.replace("debug: }", "debug: {x: 1}}").replace("[otlp]", "[otpl]"))
    result = run("validate", "-c", file)
    assert result.exit_code == 78
    assert result.stdout == ""
    assert f"error: unknown option 'x'\n  --> {file}:2:21\n" in result.stderr
    assert "did you mean 'otlp'?" in result.stderr
    assert result.stderr.endswith(f"2 errors in {file} (exit 78)\n")


def test_validate_denies_warnings_when_asked_to(file: Path) -> None:
    """A warning alone is exit code 0 otherwise."""
    arguments = ("validate", "--config", file, "--set", "processors.batch=")
    assert run(*arguments).exit_code == 0
    assert "warning: processor 'batch' is not used" in run(*arguments).stderr
    assert run(*arguments, "--deny-warnings").exit_code == 78


def test_validate_prints_findings_as_json(file: Path) -> None:
    """On standard output; an empty list if there are none."""
    assert json.loads(run("validate", "-c", file, "--format", "json").stdout) == []
    result = run("validate", "-c", file, "--set", "service.x=1", "--format", "json")
    assert result.exit_code == 78
    (finding,) = json.loads(result.stdout)
    assert (finding["severity"], finding["file"], finding["line"], finding["column"]) == (
        "error",
        "--set",
        1,
        9,
    )
    assert finding["message"] == "unknown option 'x'"


def test_validate_prints_annotations_for_github(file: Path) -> None:
    """One line each, escaped."""
    file.write_text(CONFIG.replace("debug: }", "debug: {x: 1}}"))
    result = run("validate", "-c", file, "--format", "github")
    first = result.stdout.splitlines()[0]
    assert first.startswith(f"::error file={file},line=2,col=21,endColumn=21::unknown option 'x'%0A")


def test_validate_with_connect_tries_every_exporter_in_use(tmp_path: Path) -> None:
    """Nothing is started; each step is shown; exit code 1 if one fails."""
    lines = CONFIG.replace("debug: }", "file: {path: %s}, file/unused: {path: /proc/none/x}}")
    file = tmp_path / "collector.yaml"
    file.write_text(lines.replace("[debug]", "[file]") % (tmp_path / "out.jsonl"))
    result = run("validate", "-c", file, "--connect")
    assert result.exit_code == 0, result.output
    assert f"exporter file\n  ✓ directory: {tmp_path}\n" in result.stdout
    assert "unused" not in result.stdout
    assert not (tmp_path / "out.jsonl").exists()
    result = run("validate", "-c", file, "--connect", "--set", "exporters.file.path=/proc/none/out.jsonl")
    assert result.exit_code == 1
    assert "  ✗ directory: /proc/none\n" in result.stdout


def test_print_config_fills_in_defaults_and_hides_secrets(file: Path) -> None:
    """YAML by default; `unredacted` shows all, and is a configuration of the same meaning."""
    url = "postgresql://me:hunter2@host/db"
    sets = (
        "--set",
        f"exporters.postgresql.connection_string={url}",
        "--set",
        "service.pipelines.traces.exporters=[postgresql]",
    )
    result = run("print-config", "-c", file, *sets)
    assert result.exit_code == 0, result.output
    data = yaml.safe_load(result.stdout)
    assert data["exporters"]["postgresql"]["connection_string"] == "postgresql://me:[REDACTED]@host/db"
    assert data["service"]["shutdown_timeout"] == "20s"
    assert "hunter2" not in result.output
    shown = run("print-config", "-c", file, *sets, "--mode", "unredacted")
    assert "hunter2" in shown.stdout
    file.write_text(shown.stdout)
    assert run("print-config", "-c", file, "--mode", "unredacted").stdout == shown.stdout


def test_print_config_prints_json(file: Path) -> None:
    """The same data."""
    as_json = run("print-config", "-c", file, "--format", "json")
    assert json.loads(as_json.stdout) == yaml.safe_load(run("print-config", "-c", file).stdout)


def test_print_config_of_a_wrong_file_prints_its_mistakes(file: Path) -> None:
    """Exit code 78."""
    result = run("print-config", "-c", file, "--set", "service.x=1")
    assert (result.exit_code, result.stdout) == (78, "")
    assert "unknown option 'x'" in result.stderr


def test_components_lists_what_exists() -> None:
    """By kind, with the signals."""
    result = run("components")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == "receivers"
    assert any(
        line.startswith("  otlp ") and line.endswith("[traces, metrics, logs, costs]") for line in lines
    )
    assert {"processors", "exporters", "service"} <= set(lines)


def test_components_shows_every_option_of_one() -> None:
    """From the declarations that validate."""
    result = run("components", "otlp")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("receivers/otlp  [traces, metrics, logs, costs]\n")
    assert 'endpoint  text · default "127.0.0.1:4317"' in result.stdout
    data = yaml.safe_load(run("components", "receivers/otlp", "--format", "yaml").stdout)
    grpc = data["receivers"]["otlp"]["options"]["protocols"]["options"]["grpc"]
    assert grpc["options"]["endpoint"]["default"] == "127.0.0.1:4317"
    assert "tls" in grpc["unsupported"]


def test_components_suggests_what_was_meant() -> None:
    """A name that does not exist is a mistake in use: exit code 2."""
    result = run("components", "oltp")
    assert result.exit_code == 2
    assert "did you mean 'otlp'?" in result.stderr
