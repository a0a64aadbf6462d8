"""What OTLP/gRPC serves besides OTLP: health checking for probes, reflection for grpcurl."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final, cast

import grpc

from collector.model.signal import Signal

if TYPE_CHECKING:
    from collector.receivers.otlp.deadlines import Deadlines

_HEALTH: Final = "grpc.health.v1.Health"
# v1 has the same messages as v1alpha under another name, and is what new clients ask for first.
_REFLECTIONS: Final = ("grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection")


class Health:
    """What the health service answers: for the server as a whole, "", and for each OTLP service."""

    def __init__(self, servicer: Any, services: list[str]) -> None:
        self._servicer = servicer
        self._services = services

    def serve(self) -> None:
        """Say SERVING from now on. At shutdown the connection is gone, which says enough."""
        from grpc_health.v1 import health_pb2

        for service in ("", *self._services):
            self._servicer.set(service, health_pb2.HealthCheckResponse.SERVING)


def add_health(server: grpc.Server, services: list[str]) -> Health:
    """Serve grpc.health.v1: what Kubernetes' `grpc:` probes call."""
    from grpc_health.v1 import health, health_pb2_grpc

    servicer = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    return Health(servicer, services)


def add_reflection(server: grpc.Server, signals: Iterable[Signal], deadlines: Deadlines) -> None:
    """Serve gRPC reflection. What it needs is loaded when somebody asks."""
    server.add_generic_rpc_handlers((cast(Any, _Reflection(frozenset(signals), deadlines)),))


class _Reflection:
    """A `grpc.GenericRpcHandler` by shape."""

    def __init__(self, signals: frozenset[Signal], deadlines: Deadlines) -> None:
        self._signals = signals
        self._deadlines = deadlines

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any] | None:
        """See `grpc.GenericRpcHandler`."""
        service, _, method = details.method.lstrip("/").rpartition("/")
        if service not in _REFLECTIONS or method != "ServerReflectionInfo":
            return None
        from grpc_reflection.v1alpha import reflection, reflection_pb2

        services = [signal.service for signal in self._signals]
        for signal in self._signals:
            signal.request_type()  # puts the descriptors of its service where reflection finds them
        servicer: Any = reflection.ReflectionServicer([*services, _HEALTH, *_REFLECTIONS])

        def answer(requests: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:
            # It occupies a worker for as long as the client keeps the stream open.
            with self._deadlines.within(context.cancel):
                yield from servicer.ServerReflectionInfo(requests, context)

        return grpc.stream_stream_rpc_method_handler(
            answer,
            request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
            response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
        )
