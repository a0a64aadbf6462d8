"""Options of the `resource` processor."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

from collector.config.option import Invalid, Unsupported, option
from collector.processors.resource.environment import parse_attributes


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionConfig:
    """One change of one attribute."""

    key: str = option(doc="The attribute's key.", example="k8s.pod.name")
    action: Literal["insert", "update", "upsert", "delete"] = option(
        doc="insert: if it is absent; update: if it is present; upsert: in any case; delete: take it away.",
        example="upsert",
    )
    value: str | int | float | bool | None = option(None, doc="The new value; its YAML type is kept.")
    from_attribute: str | None = option(
        None, doc="Take the value of this other resource attribute; nothing happens if it is absent."
    )
    UNSUPPORTED: ClassVar = (
        Unsupported("from_context", "the value would come from the client's metadata, which is not kept"),
        Unsupported("pattern", "the attribute would be deleted, or parts extracted, by a regular expression"),
        Unsupported("converted_type", "the value would be converted to another type"),
        Unsupported("default_value", "a value would be used where from_context finds none"),
    )

    def validate(self) -> Iterator[Invalid]:
        """Check what belongs together."""
        if not self.key:
            yield Invalid("key", "must not be empty")
        if isinstance(self.value, int) and not -(2**63) <= self.value < 2**63:
            yield Invalid("value", "an integer attribute has 64 bits; quote it to make it a text")
        if "\0" in self.key or (isinstance(self.value, str) and "\0" in self.value):
            yield Invalid("value", "has a NUL character, which no store can keep")
        given = (self.value is not None) + (self.from_attribute is not None)
        if self.action == "delete" and given:
            yield Invalid("action", "delete takes neither value nor from_attribute")
        if self.action != "delete" and given != 1:
            yield Invalid("action", f"{self.action} needs either value or from_attribute")


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceConfig:
    """What is changed in the attributes of every resource."""

    attributes: tuple[ActionConfig, ...] = option((), doc="Changes, made in this order.")
    attributes_from: str = option(
        "",
        doc="Attributes inserted where they are absent, before the changes: key=value,key=value, percent-encoded, "
        "the form of OTEL_RESOURCE_ATTRIBUTES.",
        example="${env:OTEL_RESOURCE_ATTRIBUTES:-}",
    )

    def validate(self) -> Iterator[Invalid]:
        """Check that there is something to do, and that it can be read."""
        try:
            parse_attributes(self.attributes_from)
        except ValueError as error:
            yield Invalid("attributes_from", str(error))
