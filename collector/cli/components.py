"""`collector components`."""

from __future__ import annotations

import json
import shutil
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, Literal

import click

if TYPE_CHECKING:
    from collector.config.describe import Description

_KINDS: Final = ("receivers", "processors", "exporters", "extensions")
_WIDTH_MAX: Final = 110


@click.command("components")
@click.argument("name", required=False)
@click.option(
    "--format",
    "output_format",
    type=click.Choice(["text", "yaml", "json"]),
    default="text",
    show_default=True,
)
def command(name: str | None, output_format: Literal["text", "yaml", "json"]) -> None:
    """List the components that exist; with NAME (otlp, or exporters/debug, or service), every option of it.

    What is printed is what validates: both come from the same declarations.
    """
    from collector.components import FACTORIES
    from collector.config.diagnostics import suggest
    from collector.config.encode import to_yaml
    from collector.service.settings import ServiceConfig

    found = {
        (kind, type_name): factories[type_name]
        for kind, factories in ((kind, getattr(FACTORIES, kind)) for kind in _KINDS)
        for type_name in sorted(factories)
        if name in (None, type_name, f"{kind}/{type_name}", f"{kind[:-1]}/{type_name}")
    }
    configs: dict[str, tuple[type[Any], str]] = {
        f"{kind}/{type_name}": (factory.config, _signals(factory))
        for (kind, type_name), factory in found.items()
    }
    if name in (None, "service"):
        configs["service"] = (ServiceConfig, "")
    if not configs:
        known = [*(type_name for kind in _KINDS for type_name in getattr(FACTORIES, kind)), "service"]
        meant = suggest((name or "").rpartition("/")[2], known)
        hint = f"did you mean {meant!r}?" if meant else f"there is: {', '.join(sorted(known))}"
        raise click.BadParameter(f"no component {name!r}; {hint}", param_hint="NAME")
    if output_format == "text":
        lines = _overview(configs) if name is None else _details(configs)
        click.echo("\n".join(lines))
        return
    data = _data(configs, whole=name is not None)
    click.echo(
        json.dumps(data, indent=2, ensure_ascii=False) if output_format == "json" else to_yaml(data).rstrip()
    )


def _signals(factory: Any) -> str:
    """Return the signals of a factory, in their order."""
    from collector.model.signal import Signal

    signals = getattr(factory, "signals", ())
    return ", ".join(signal.value for signal in Signal if signal in signals)


def _overview(configs: Mapping[str, tuple[type[Any], str]]) -> Iterator[str]:
    """Yield the list of everything."""
    from collector.config.describe import summary

    names = max(len(path.rpartition("/")[2]) for path in configs)
    kind = ""
    for path, (config, signals) in configs.items():
        section, _, type_name = path.rpartition("/")
        if section != kind:
            yield from ([""] if kind else [])
            yield section or "service"
            kind = section
        about = summary(config)
        yield f"  {type_name:<{names}}  {about}" + (f" [{signals}]" if signals else "")
    yield ""
    yield "collector components NAME shows the options of one."


def _details(configs: Mapping[str, tuple[type[Any], str]]) -> Iterator[str]:
    """Yield every option of some components."""
    from collector.config.describe import describe, summary, unsupported

    for number, (path, (config, signals)) in enumerate(configs.items()):
        yield from ([""] if number else [])
        yield click.style(path, bold=True) + (f"  [{signals}]" if signals else "")
        yield from _paragraph(summary(config), "  ")
        yield ""
        yield from _options(describe(config), 1)
        yield from _unsupported(unsupported(config), 1)


def _options(options: Iterable[Description], depth: int) -> Iterator[str]:
    """Yield options, each with those below it."""
    indent = "  " * depth
    for option in options:
        facts = [option.type]
        if option.required:
            facts.append("required")
        elif option.default is not None:
            facts.append(f"default {json.dumps(option.default, ensure_ascii=False)}")
        facts += [f"at least {option.minimum}"] if option.minimum is not None else []
        facts += [f"at most {option.maximum}"] if option.maximum is not None else []
        facts += [f"also spelt {alias}" for alias in option.aliases]
        facts += [f"example {option.example}"] if option.example else []
        name = click.style(option.name, fg="cyan")
        first, *more = textwrap.wrap(" · ".join(facts), _width() - len(indent) - len(option.name) - 2) or [""]
        yield f"{indent}{name}  {click.style(first, dim=True)}"
        yield from (f"{indent}{' ' * len(option.name)}  {click.style(line, dim=True)}" for line in more)
        yield from _paragraph(option.doc, indent + "    ")
        yield from _options(option.options, depth + 1)
        yield from _unsupported(option.unsupported, depth + 1)


def _unsupported(options: Iterable[tuple[str, str]], depth: int) -> Iterator[str]:
    """Yield otelcol's options that are not taken."""
    for key, effect in options:
        yield from _paragraph(f"({key}: otelcol's, not supported; {effect})", "  " * depth)


def _paragraph(text: str, indent: str) -> list[str]:
    return textwrap.wrap(text, _width(), initial_indent=indent, subsequent_indent=indent)


def _width() -> int:
    return min(_WIDTH_MAX, max(60, shutil.get_terminal_size().columns))


def _data(configs: Mapping[str, tuple[type[Any], str]], *, whole: bool) -> dict[str, Any]:
    """Return the same for machines."""
    from collector.config.describe import describe, summary, unsupported

    data: dict[str, Any] = {}
    for path, (config, signals) in configs.items():
        section, _, type_name = path.rpartition("/")
        entry: dict[str, Any] = {"doc": summary(config)}
        if signals:
            entry["signals"] = signals.split(", ")
        if whole:
            entry["options"] = {option.name: option.as_data() for option in describe(config)}
            if missing := unsupported(config):
                entry["unsupported"] = dict(missing)
        (data.setdefault(section, {}) if section else data)[type_name] = entry
    return data
