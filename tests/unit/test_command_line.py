"""The command line as a whole."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from collector.cli.main import COMMANDS, command
from collector.version import VERSION


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_that_is_listed_exists_and_explains_itself(name: str) -> None:
    """The list is written by hand, so that showing it imports nothing."""
    result = CliRunner().invoke(command, [name, "--help"])
    assert result.exit_code == 0
    assert f"{name} [OPTIONS]" in result.output
    assert COMMANDS[name][1].endswith(".")


def test_help_lists_every_command() -> None:
    """With what each does."""
    result = CliRunner().invoke(command, ["--help"])
    assert result.exit_code == 0
    for name in COMMANDS:
        assert f"\n  {name}" in result.output


def test_a_mistyped_command_is_answered_with_the_right_one() -> None:
    """And if nothing is near, with all there is."""
    near = CliRunner().invoke(command, ["valdate"])
    assert near.exit_code == 2
    assert "Did you mean 'validate'?" in near.output
    far = CliRunner().invoke(command, ["xyz"])
    assert all(name in far.output for name in COMMANDS)


def test_version_says_which_and_what_it_was_built_with() -> None:
    """The first thing asked for in a bug report."""
    result = CliRunner().invoke(command, ["--version"])
    assert result.exit_code == 0
    assert f"collector {VERSION}, native " in result.output
    assert ", Python 3." in result.output
