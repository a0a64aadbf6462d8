"""The messages of gRPC's own services, health checking and reflection, as descriptors. No generated code, no grpcio.

Source: grpc/health/v1/health.proto and grpc/reflection/v1/reflection.proto of grpc/grpc-proto. In a pool of their own,
so that they are in nobody's way.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_Field: Final = descriptor_pb2.FieldDescriptorProto
_STRING: Final = _Field.TYPE_STRING
_BYTES: Final = _Field.TYPE_BYTES
_INT32: Final = _Field.TYPE_INT32

HEALTH: Final = "grpc.health.v1.Health"
# v1 has the same messages as v1alpha under another name, and is what new clients ask for first.
REFLECTIONS: Final = ("grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection")

SERVING: Final = 1
SERVICE_UNKNOWN: Final = 3


def health_file() -> descriptor_pb2.FileDescriptorProto:
    """grpc/health/v1/health.proto."""
    file = descriptor_pb2.FileDescriptorProto(
        name="grpc/health/v1/health.proto", package="grpc.health.v1", syntax="proto3"
    )
    _message(file, "HealthCheckRequest", (1, "service", _STRING))
    response = _message(
        file, "HealthCheckResponse", (1, "status", ".grpc.health.v1.HealthCheckResponse.ServingStatus")
    )
    response.field[0].type = _Field.TYPE_ENUM
    status = response.enum_type.add(name="ServingStatus")
    for number, name in enumerate(("UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN")):
        status.value.add(name=name, number=number)
    service = file.service.add(name="Health")
    for name in ("Check", "Watch"):
        service.method.add(
            name=name,
            input_type=".grpc.health.v1.HealthCheckRequest",
            output_type=".grpc.health.v1.HealthCheckResponse",
            server_streaming=name == "Watch",
        )
    return file


def reflection_file(version: str) -> descriptor_pb2.FileDescriptorProto:
    """grpc/reflection/v1/reflection.proto, or that of v1alpha."""
    package = f"grpc.reflection.{version}"
    file = descriptor_pb2.FileDescriptorProto(
        name=f"grpc/reflection/{version}/reflection.proto", package=package, syntax="proto3"
    )
    request = _message(
        file,
        "ServerReflectionRequest",
        (1, "host", _STRING),
        (3, "file_by_filename", _STRING),
        (4, "file_containing_symbol", _STRING),
        (5, "file_containing_extension", f".{package}.ExtensionRequest"),
        (6, "all_extension_numbers_of_type", _STRING),
        (7, "list_services", _STRING),
    )
    _oneof(request, "message_request", behind=1)
    _message(file, "ExtensionRequest", (1, "containing_type", _STRING), (2, "extension_number", _INT32))
    response = _message(
        file,
        "ServerReflectionResponse",
        (1, "valid_host", _STRING),
        (2, "original_request", f".{package}.ServerReflectionRequest"),
        (4, "file_descriptor_response", f".{package}.FileDescriptorResponse"),
        (5, "all_extension_numbers_response", f".{package}.ExtensionNumberResponse"),
        (6, "list_services_response", f".{package}.ListServiceResponse"),
        (7, "error_response", f".{package}.ErrorResponse"),
    )
    _oneof(response, "message_response", behind=2)
    _repeated(_message(file, "FileDescriptorResponse", (1, "file_descriptor_proto", _BYTES)), 0)
    numbers = _message(
        file, "ExtensionNumberResponse", (1, "base_type_name", _STRING), (2, "extension_number", _INT32)
    )
    _repeated(numbers, 1)
    _repeated(_message(file, "ListServiceResponse", (1, "service", f".{package}.ServiceResponse")), 0)
    _message(file, "ServiceResponse", (1, "name", _STRING))
    _message(file, "ErrorResponse", (1, "error_code", _INT32), (2, "error_message", _STRING))
    file.service.add(name="ServerReflection").method.add(
        name="ServerReflectionInfo",
        input_type=f".{package}.ServerReflectionRequest",
        output_type=f".{package}.ServerReflectionResponse",
        client_streaming=True,
        server_streaming=True,
    )
    return file


@cache
def message_type(name: str) -> Any:
    """The class of a message of these files, by its full name."""
    return message_factory.GetMessageClass(pool().FindMessageTypeByName(name))


@cache
def pool() -> descriptor_pool.DescriptorPool:
    """Where all of these files are."""
    found = descriptor_pool.DescriptorPool()
    for file in (health_file(), reflection_file("v1"), reflection_file("v1alpha")):
        found.Add(file)
    return found


def _message(
    file: descriptor_pb2.FileDescriptorProto, name: str, *fields: tuple[int, str, Any]
) -> descriptor_pb2.DescriptorProto:
    message = file.message_type.add(name=name)
    for number, field_name, kind in fields:
        field = message.field.add(name=field_name, number=number, label=_Field.LABEL_OPTIONAL)
        if isinstance(kind, str):
            field.type, field.type_name = _Field.TYPE_MESSAGE, kind
        else:
            field.type = kind
    return message


def _repeated(message: descriptor_pb2.DescriptorProto, index: int) -> None:
    message.field[index].label = _Field.LABEL_REPEATED


def _oneof(message: descriptor_pb2.DescriptorProto, name: str, *, behind: int) -> None:
    message.oneof_decl.add(name=name)
    for field in message.field:
        if field.number > behind:
            field.oneof_index = 0
