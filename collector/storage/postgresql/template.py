r"""The little of psql's language that the migrations are written in, so that psql can run the same files.

`:"name"` is an identifier, `:'name'` a literal, `:name` the text itself; `\if :name`, `\else` and `\endif`, each
alone on its line, keep or leave out what is between them. An administrator can run

    psql -v schema=telemetry -v extension=public -v partition_by= -v hypertables=on -v full=on \
         -v chunk_interval='1 day' -f 0001_tables.sql
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from psycopg import sql

# Not after another colon: that is a cast.
_VARIABLE: Final = re.compile(r"(?<!:):(?:\"(\w+)\"|'(\w+)'|([a-z_]+)\b)")
_TRUE: Final = frozenset({"on", "true", "1", "yes"})


def render(template: str, variables: Mapping[str, str]) -> str:
    r"""Return `template` as plain SQL.

    Raises:
        KeyError: it names a variable that is not given.
        ValueError: an `\if` has no end.
    """
    kept: list[str] = []
    conditions: list[bool] = []
    for line in template.splitlines(keepends=True):
        words = line.split()
        match words:
            case ["\\if", name]:
                conditions.append(variables[name.removeprefix(":")].lower() in _TRUE)
            case ["\\else"]:
                conditions[-1] = not conditions[-1]
            case ["\\endif"]:
                conditions.pop()
            case _ if all(conditions):
                kept.append(line if line.lstrip().startswith("--") else _fill(line, variables))
    if conditions:
        raise ValueError("an \\if without its \\endif")
    return "".join(kept)


def _fill(line: str, variables: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        identifier, literal, text = match.groups()
        if identifier:
            return sql.Identifier(variables[identifier]).as_string()
        if literal:
            return sql.Literal(variables[literal]).as_string()
        return variables[text]

    return _VARIABLE.sub(value, line)
