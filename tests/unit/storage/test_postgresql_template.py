"""The part of psql's language that the migrations are written in."""

from __future__ import annotations

import pytest

from collector.storage.postgresql.schema import known
from collector.storage.postgresql.template import render

VARIABLES = {
    "schema": "telemetry",
    "extension": "public",
    "partition_by": "",
    "hypertables": "on",
    "full": "off",
    "chunk_interval": "86400 seconds",
}


def test_variables_are_quoted_as_they_are_asked_for() -> None:
    """As identifier, as literal, as text; a cast is none."""
    filled = render(
        "SELECT :\"a\".f(:'a', x::text) :a, :unknown_in_text", {"a": "o\"d'd", "unknown_in_text": ""}
    )
    assert filled == """SELECT "o""d'd".f('o"d''d', x::text) o"d'd, """


@pytest.mark.parametrize(("full", "kept"), [("on", "a b d"), ("off", "a c d")])
def test_conditions_keep_one_side(full: str, kept: str) -> None:
    """Lines between are kept or left out whole."""
    template = "a\n\\if :full\nb\n\\else\nc\n\\endif\nd\n"
    assert render(template, {"full": full}).split() == kept.split()


def test_conditions_nest() -> None:
    """An outer one that is false hides both sides of an inner one."""
    template = "\\if :x\n\\if :y\na\n\\else\nb\n\\endif\n\\else\nc\n\\endif\n"
    assert render(template, {"x": "off", "y": "off"}) == "c\n"
    assert render(template, {"x": "on", "y": "off"}) == "b\n"


def test_what_is_not_given_or_not_ended_is_refused() -> None:
    """A migration must not run half."""
    with pytest.raises(KeyError):
        render("SELECT :nothing", {})
    with pytest.raises(ValueError, match="endif"):
        render("\\if :full\n", VARIABLES)


@pytest.mark.parametrize("full", ["on", "off"])
def test_nothing_of_the_language_is_left_in_the_migrations(full: str) -> None:
    """Outside of comments."""
    for migration in known():
        filled = render(migration.sql, {**VARIABLES, "full": full})
        code = [line for line in filled.splitlines() if not line.startswith("--")]
        assert not [line for line in code if "\\" in line and "\\u" not in line]
        assert not [line for line in code if ':"' in line or ":'" in line]
