from collector.proto.cost.v1 import cost_pb2 as _cost_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ExportCostsServiceRequest(_message.Message):
    __slots__ = ("records",)
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    records: _containers.RepeatedCompositeFieldContainer[_cost_pb2.CostAttributionRecord]
    def __init__(self, records: _Optional[_Iterable[_Union[_cost_pb2.CostAttributionRecord, _Mapping]]] = ...) -> None: ...

class ExportCostsServiceResponse(_message.Message):
    __slots__ = ("partial_success",)
    PARTIAL_SUCCESS_FIELD_NUMBER: _ClassVar[int]
    partial_success: ExportCostsPartialSuccess
    def __init__(self, partial_success: _Optional[_Union[ExportCostsPartialSuccess, _Mapping]] = ...) -> None: ...

class ExportCostsPartialSuccess(_message.Message):
    __slots__ = ("rejected_records", "error_message")
    REJECTED_RECORDS_FIELD_NUMBER: _ClassVar[int]
    ERROR_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    rejected_records: int
    error_message: str
    def __init__(self, rejected_records: _Optional[int] = ..., error_message: _Optional[str] = ...) -> None: ...
