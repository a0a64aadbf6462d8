"""A small shop of three services, instrumented by the OpenTelemetry SDK, that talk HTTP on loopback.

`storefront` calls `checkout`, which calls `payments`; one payment in twelve is refused. Nothing in here knows the
collector: it exports OTLP as any app does, one service over HTTP, the others over gRPC. It prints, as one
line of JSON, how many items its exporters were told had arrived.

    python -m collector.demo.shop --grpc 127.0.0.1:4317 --http 127.0.0.1:4318 --seconds 10
"""

from __future__ import annotations

import argparse
import json
import random
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from opentelemetry import metrics, trace
from opentelemetry._logs import SeverityNumber
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcLogExporter
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcMetricExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpanExporter
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpSpanExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import MetricsData, PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_PRODUCTS: Final = ("kettle", "teapot", "cup", "saucer", "spoon")
_REFUSED_ONE_IN: Final = 12
_PROPAGATOR: Final = TraceContextTextMapPropagator()


class Tally:
    """Items that the collector said it has, by signal. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.sent = {"traces": 0, "metrics": 0, "logs": 0}
        self.failed = {"traces": 0, "metrics": 0, "logs": 0}

    def add(self, signal: str, items: int, *, ok: bool) -> None:
        """Count the outcome of one export."""
        with self._lock:
            (self.sent if ok else self.failed)[signal] += items


def _points(data: MetricsData) -> int:
    return sum(
        len(metric.data.data_points)
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    )


def counting(exporter_type: type[Any], signal: str, tally: Tally) -> type[Any]:
    """Return `exporter_type` with its exports counted."""

    class Counting(exporter_type):  # type: ignore[misc]
        def export(self, batch: Any, *args: Any, **kwargs: Any) -> Any:
            result = super().export(batch, *args, **kwargs)
            items = _points(batch) if signal == "metrics" else len(batch)
            tally.add(signal, items, ok=result.name == "SUCCESS")
            return result

    return Counting


class Service:
    """One service: its own resource, its own three providers, its own HTTP server on a free port."""

    def __init__(self, name: str, exporters: dict[str, Any], handle: Any) -> None:
        resource = Resource.create(
            {
                "service.name": name,
                "service.namespace": "shop",
                "service.version": "1.4.2",
                "service.instance.id": f"{name}-0",
            }
        )
        self.name = name
        self.tracer_provider = TracerProvider(resource=resource)
        self.tracer_provider.add_span_processor(
            BatchSpanProcessor(exporters["traces"], schedule_delay_millis=500)
        )
        self.meter_provider = MeterProvider(
            resource=resource,
            metric_readers=[PeriodicExportingMetricReader(exporters["metrics"], export_interval_millis=1000)],
            views=[
                View(
                    instrument_type=Histogram,
                    instrument_name="shop.payment.duration",
                    aggregation=ExponentialBucketHistogramAggregation(max_size=80),
                )
            ],
        )
        self.logger_provider = LoggerProvider(resource=resource)
        self.logger_provider.add_log_record_processor(
            BatchLogRecordProcessor(exporters["logs"], schedule_delay_millis=500)
        )
        self.tracer = self.tracer_provider.get_tracer("shop", "1.4.2")
        self.logger = self.logger_provider.get_logger("shop")
        meter = self.meter_provider.get_meter("shop", "1.4.2")
        self.duration = meter.create_histogram(
            "http.server.request.duration", "s", "Duration of HTTP requests."
        )
        self.active = meter.create_up_down_counter(
            "http.server.active_requests", "{request}", "Requests in work."
        )
        self.payment_duration = meter.create_histogram("shop.payment.duration", "s", "Time a payment took.")
        self.orders = meter.create_counter("shop.orders", "{order}", "Orders taken.")
        self.revenue = meter.create_counter("shop.revenue", "EUR", "Value of the orders taken.")
        if name == "storefront":
            self.stock = dict.fromkeys(_PRODUCTS, 1000)
            meter.create_observable_gauge(
                "shop.stock",
                [
                    lambda _: [
                        metrics.Observation(left, {"product": product})
                        for product, left in self.stock.items()
                    ]
                ],
                "{item}",
                "Items left.",
            )
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler(handle))
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, name=name, daemon=True).start()  # noqa: TID251

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def _handler(self, handle: Any) -> type[BaseHTTPRequestHandler]:
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, answer = service.serve(self.path, dict(self.headers), json.loads(body), handle)
                self.send_response(status)
                self.end_headers()
                self.wfile.write(json.dumps(answer).encode())

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                """Silent: the log records are telemetry."""

        return Handler

    def serve(
        self, path: str, headers: dict[str, str], body: dict[str, Any], handle: Any
    ) -> tuple[int, dict[str, Any]]:
        """Answer one request inside a SERVER span, and measure it."""
        parent = _PROPAGATOR.extract({key.lower(): value for key, value in headers.items()})
        began = time.perf_counter()
        self.active.add(1)
        attributes = {"http.request.method": "POST", "http.route": path, "server.address": "127.0.0.1"}
        with self.tracer.start_as_current_span(f"POST {path}", parent, SpanKind.SERVER, attributes) as span:
            status, answer = handle(self, body, span)
            span.set_attribute("http.response.status_code", status)
            if status >= 500:
                span.set_status(Status(StatusCode.ERROR, answer.get("error", "")))
            # Recorded inside the span, so that the histogram carries exemplars that lead to the trace.
            self.duration.record(
                time.perf_counter() - began, {"http.route": path, "http.response.status_code": status}
            )
        self.active.add(-1)
        return status, answer

    def call(self, url: str, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """POST `body` as JSON inside a CLIENT span, passing the trace context on."""
        with self.tracer.start_as_current_span(
            f"POST {path}", kind=SpanKind.CLIENT, attributes={"url.full": url + path}
        ):
            headers: dict[str, str] = {"Content-Type": "application/json"}
            _PROPAGATOR.inject(headers)
            request = urllib.request.Request(url + path, json.dumps(body).encode(), headers)  # noqa: S310
            try:
                with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310
                    return response.status, json.load(response)
            except urllib.error.HTTPError as error:
                return error.code, json.load(error)

    def log(self, severity: SeverityNumber, event_name: str, body: Any, **attributes: Any) -> None:
        """Emit a log record in the context of the current span."""
        self.logger.emit(
            timestamp=time.time_ns(),  # noqa: TID251
            severity_number=severity,
            severity_text=severity.name,
            body=body,
            attributes=attributes,
            event_name=event_name,
        )

    def shutdown(self) -> None:
        """Stop serving and flush what is left."""
        self.server.shutdown()
        self.tracer_provider.shutdown()
        self.meter_provider.shutdown()
        self.logger_provider.shutdown()


def _work(rng: random.Random, typical_s: float) -> None:
    """Take about as long as the real thing: log-normal around `typical_s`."""
    time.sleep(min(rng.lognormvariate(0, 0.5) * typical_s, 10 * typical_s))


def run(grpc: str, http: str, seconds: float, seed: int) -> Tally:
    """Let customers shop for `seconds`, then flush and return the tally."""
    rng = random.Random(seed)  # noqa: S311
    tally = Tally()

    def exporters(protocol: str) -> dict[str, Any]:
        if protocol == "grpc":
            return {
                "traces": counting(GrpcSpanExporter, "traces", tally)(endpoint=grpc, insecure=True),
                "metrics": counting(GrpcMetricExporter, "metrics", tally)(endpoint=grpc, insecure=True),
                "logs": counting(GrpcLogExporter, "logs", tally)(endpoint=grpc, insecure=True),
            }
        return {
            "traces": counting(HttpSpanExporter, "traces", tally)(endpoint=f"http://{http}/v1/traces"),
            "metrics": counting(HttpMetricExporter, "metrics", tally)(endpoint=f"http://{http}/v1/metrics"),
            "logs": counting(HttpLogExporter, "logs", tally)(endpoint=f"http://{http}/v1/logs"),
        }

    def pay(service: Service, body: dict[str, Any], span: trace.Span) -> tuple[int, dict[str, Any]]:
        began = time.perf_counter()
        _work(rng, 0.02)
        span.add_event("card.authorised", {"card.network": rng.choice(("visa", "mastercard"))})
        service.payment_duration.record(time.perf_counter() - began, {"currency": "EUR"})
        if rng.randrange(_REFUSED_ONE_IN) == 0:
            span.record_exception(RuntimeError("card declined by issuer"))
            service.log(
                SeverityNumber.ERROR, "payment.declined", {"order": body["order"], "reason": "issuer"}
            )
            return 502, {"error": "card declined by issuer"}
        return 200, {"authorisation": rng.getrandbits(32)}

    def check_out(service: Service, body: dict[str, Any], span: trace.Span) -> tuple[int, dict[str, Any]]:
        with service.tracer.start_as_current_span("reserve stock"):
            _work(rng, 0.005)
        status, answer = service.call(payments.url, "/pay", body)
        if status != 200:
            return 502, answer
        service.orders.add(1, {"product": body["product"]})
        service.revenue.add(body["price"], {"product": body["product"]})
        service.log(
            SeverityNumber.INFO, "order.placed", f"order {body['order']} placed", product=body["product"]
        )
        # The parcel is packed later, in a trace of its own: a link leads back to the order.
        with service.tracer.start_as_current_span(
            "pack parcel",
            trace.set_span_in_context(trace.INVALID_SPAN),
            links=[trace.Link(span.get_span_context())],
        ):
            _work(rng, 0.002)
        return 200, {"order": body["order"]}

    def order(service: Service, body: dict[str, Any], span: trace.Span) -> tuple[int, dict[str, Any]]:
        span.set_attribute("shop.basket", [body["product"]])
        _work(rng, 0.004)
        status, answer = service.call(checkout.url, "/checkout", body)
        service.stock[body["product"]] -= status == 200
        return status, answer

    payments = Service("payments", exporters("grpc"), pay)
    checkout = Service("checkout", exporters("http"), check_out)
    storefront = Service("storefront", exporters("grpc"), order)
    deadline = time.monotonic() + seconds
    number = 0
    while time.monotonic() < deadline:
        number += 1
        product = rng.choice(_PRODUCTS)
        body = json.dumps(
            {"order": number, "product": product, "price": round(rng.uniform(2, 60), 2)}
        ).encode()
        request = urllib.request.Request(storefront.url + "/order", body)  # noqa: S310
        try:
            urllib.request.urlopen(request, timeout=10).close()  # noqa: S310
        except urllib.error.HTTPError as error:  # a declined card is part of business
            error.close()
    for service in (storefront, checkout, payments):
        service.shutdown()
    return tally


def main() -> None:
    """Command line: see the module."""
    parser = argparse.ArgumentParser(
        prog="python -m collector.demo.shop", description="A shop that exports OTLP."
    )
    parser.add_argument("--grpc", default="127.0.0.1:4317", help="host:port of OTLP/gRPC")
    parser.add_argument("--http", default="127.0.0.1:4318", help="host:port of OTLP/HTTP")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    tally = run(arguments.grpc, arguments.http, arguments.seconds, arguments.seed)
    print(json.dumps({"sent": tally.sent, "failed": tally.failed}))  # noqa: T201


if __name__ == "__main__":
    main()
