"""The committed protobuf modules are what the definitions in `proto/` say."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from collector.proto.cost.v1 import cost_pb2, cost_service_pb2
from tests.support.daemon import ROOT

PROTO: Final = ROOT / "proto/collector/cost/v1"
TYPES: Final = {
    FieldDescriptor.TYPE_STRING: "string", FieldDescriptor.TYPE_BYTES: "bytes", FieldDescriptor.TYPE_UINT32: "uint32",
    FieldDescriptor.TYPE_FIXED64: "fixed64", FieldDescriptor.TYPE_INT64: "int64",
}  # fmt: skip
BLOCK: Final = re.compile(r"(message|enum|service) (\w+) \{(.*?)\n\}", re.DOTALL)
FIELD: Final = re.compile(r"^\s+(repeated )?(map<string, string>|\w+) (\w+) = (\d+);", re.MULTILINE)
VALUE: Final = re.compile(r"^\s+(\w+) = (\d+);", re.MULTILINE)
METHOD: Final = re.compile(r"rpc (\w+)\((\w+)\) returns \((\w+)\)")


@pytest.mark.parametrize(("file", "module"), [("cost", cost_pb2), ("cost_service", cost_service_pb2)])
def test_the_committed_module_has_every_line_of_its_definition(file: str, module: Any) -> None:
    """Types, names, numbers and services; nothing more and nothing less."""
    text = re.sub(r"//.*", "", (PROTO / f"{file}.proto").read_text("utf-8"))
    assert set(declared(text)) == set(compiled(module.DESCRIPTOR))


def test_a_request_joined_with_another_is_one_with_the_records_of_both() -> None:
    """What batching bytes rests on: field 1 is repeated, and there is no other."""
    fields = cost_service_pb2.ExportCostsServiceRequest.DESCRIPTOR.fields
    assert [(field.number, field.is_repeated) for field in fields] == [(1, True)]
    one = cost_service_pb2.ExportCostsServiceRequest(records=[cost_pb2.CostAttributionRecord(record_id=b"1")])
    two = cost_service_pb2.ExportCostsServiceRequest(records=[cost_pb2.CostAttributionRecord(record_id=b"2")])
    joined = cost_service_pb2.ExportCostsServiceRequest.FromString(
        one.SerializeToString() + two.SerializeToString()
    )
    assert [record.record_id for record in joined.records] == [b"1", b"2"]


def test_the_committed_modules_run_with_the_oldest_protobuf_that_is_allowed() -> None:
    """A newer protoc writes modules that an older protobuf refuses to load."""
    lowest = re.search(r'"protobuf>=([\d.]+)"', (ROOT / "pyproject.toml").read_text("utf-8"))
    assert lowest is not None
    for module in (cost_pb2, cost_service_pb2):
        assert module.__file__ is not None
        written = re.search(r"Protobuf Python Version: ([\d.]+)", Path(module.__file__).read_text("utf-8"))
        assert written is not None
        assert written[1] == lowest[1]


def declared(text: str) -> Iterator[str]:
    """The lines of a definition, in one spelling."""
    for kind, name, body in BLOCK.findall(text):
        if kind == "message":
            for repeated, type_, field, number in FIELD.findall(body):
                yield f"{name}.{field} = {number}: {repeated}{type_}"
        elif kind == "enum":
            yield from (f"{name}.{value} = {number}" for value, number in VALUE.findall(body))
        else:
            yield from (
                f"{name}.{method}: {request} -> {reply}" for method, request, reply in METHOD.findall(body)
            )
    lines = re.findall(r"= \d+;", text)
    assert len(lines) == sum(len(FIELD.findall(b) or VALUE.findall(b)) for _, _, b in BLOCK.findall(text))


def compiled(file: Any) -> Iterator[str]:
    """The same of a compiled module."""
    for message in file.message_types_by_name.values():
        for field in message.fields:
            yield f"{message.name}.{field.name} = {field.number}: {_type(field)}"
    for enum in file.enum_types_by_name.values():
        yield from (f"{enum.name}.{value.name} = {value.number}" for value in enum.values)
    for service in file.services_by_name.values():
        for method in service.methods:
            yield f"{service.name}.{method.name}: {method.input_type.name} -> {method.output_type.name}"


def _type(field: Any) -> str:
    inner: Descriptor | None = field.message_type
    if inner is not None and inner.GetOptions().map_entry:
        return f"map<{TYPES[inner.fields[0].type]}, {TYPES[inner.fields[1].type]}>"
    name = inner.name if inner else field.enum_type.name if field.enum_type else TYPES[field.type]
    return f"{'repeated ' if field.is_repeated else ''}{name}"
