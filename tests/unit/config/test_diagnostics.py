"""How findings are shown."""

from __future__ import annotations

from collector.config.diagnostics import ConfigError, Place, Problem, conceal, render, suggest
from tests.unit.config.factories import OtlpConfig
from tests.unit.config.reading import decoded


def place(text: str, column: int, length: int, line: int = 5) -> Place:
    return Place("collector.yaml", line, column, length, text)


def test_a_problem_is_shown_with_its_line_a_caret_and_the_remedy() -> None:
    """The form that people know from compilers."""
    _, problems = decoded("protocols:\n  grpc:\n    endpont: 127.0.0.1:4317\n", OtlpConfig)
    expected = """\
error: unknown option 'endpont'
  --> --config:4:5
   |
 4 |     endpont: 127.0.0.1:4317
   |     ^^^^^^^ did you mean 'endpoint'?
   = store.protocols.grpc accepts: endpoint, size_max

1 error in --config (exit 78)"""
    assert render(problems) == expected


def test_the_gutter_is_as_wide_as_the_number() -> None:
    """Lines from 10 on move everything to the right."""
    problem = Problem(message="m", place=place("a: b", 4, 1, line=123), notes=("n",))
    assert problem.render() == (
        "error: m\n    --> collector.yaml:123:4\n     |\n 123 | a: b\n     |    ^\n     = n"
    )


def test_a_problem_without_a_place_is_one_line() -> None:
    """A file that cannot be read has no line to show."""
    assert Problem(message="cannot read x", place=None).render() == "error: cannot read x"


def test_carets_stand_under_tabs_and_wide_characters() -> None:
    """A tab is as wide as the terminal says, a CJK character two columns, a combining one none."""
    lines = Problem(message="m", place=place("\t日e\u0301: x", 6, 1)).render().splitlines()
    assert lines[-1] == "   | \t    ^"


def test_a_long_line_is_cut_around_the_caret() -> None:
    """A secret store's one-line JSON is not printed whole."""
    line = "a" * 1000 + "X" + "b" * 1000
    shown = Problem(message="m", place=place(line, 1001, 1)).render().splitlines()
    source, caret = shown[3], shown[4]
    assert len(source) < 200
    assert source[caret.index("^")] == "X"


def test_control_characters_do_not_reach_the_terminal() -> None:
    """An escape sequence in a file or a name must not act."""
    problem = Problem(message="\x1b[31m", place=place("a: \x1b]0;x\x07", 4, 1), label="\x9b")
    assert not set(problem.render()) & {"\x1b", "\x07", "\x9b"}


def test_color_is_only_there_when_asked_for() -> None:
    """A terminal gets it, a log does not."""
    problem = Problem(message="m", place=place("a", 1, 1))
    assert "\x1b[" not in problem.render()
    assert problem.render(color=True).startswith("\x1b[1;31merror\x1b[0m: m")


def test_findings_are_in_the_order_of_the_source_and_shown_once() -> None:
    """Whatever order they were found in."""
    first = Problem(message="first", place=place("a", 1, 1, line=1))
    second = Problem(message="second", place=place("a", 1, 1, line=2), severity="warning")
    whole = Problem(message="whole", place=None)
    text = ConfigError([second, first, whole, first]).render()
    assert [line for line in text.splitlines() if line.startswith(("error", "warning", "2 "))] == [
        "error: whole",
        "error: first",
        "warning: second",
        "2 errors, 1 warning in collector.yaml (exit 78)",
    ]


def test_passwords_in_source_lines_are_covered_and_columns_kept() -> None:
    """By the name of the option, or as a part of a URL; references say nothing and stay."""
    cases = {
        "  password: hunter2": "  password: *******",
        "  pasword: hunter2": "  pasword: *******",
        "past: 30d": "past: 30d",
        "db_api_key = abc": "db_api_key = ***",
        'token: "x y"': "token: *****",
        "url: postgresql://me:p@ss:w/rd@host/db": "url: postgresql://me:*********@host/db",
        "password: ${env:PW}": "password: ${env:PW}",
        'password: "${file:/run/pw}"': 'password: "${file:/run/pw}"',
        "password: ${env:PW:-hunter2}": "password: ******************",
        "url: postgresql://me:${env:PW}@host/db": "url: postgresql://me:${env:PW}@host/db",
        "endpoint: 127.0.0.1:4317": "endpoint: 127.0.0.1:4317",
    }
    assert {line: conceal(line) for line in cases} == cases


def test_suggest_finds_what_was_meant() -> None:
    """Case and dashes first, then small differences; nothing if nothing is near."""
    known = ["endpoint", "max_recv_msg_size", "Timeout"]
    words = ["endpont", "max-recv-msg-size", "timeout", "zzz"]
    assert [suggest(word, known) for word in words] == ["endpoint", "max_recv_msg_size", "Timeout", None]
