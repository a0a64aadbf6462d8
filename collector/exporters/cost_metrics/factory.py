"""How the `cost_metrics` exporter is made."""

from __future__ import annotations

from typing import Final

from collector.accounting.files_exporter import CostFilesExporter
from collector.cost.otlp_metrics import MetricOptions
from collector.exporters.cost_metrics.config import CostMetricsConfig
from collector.exporters.cost_metrics.days import CostMetricDays
from collector.exporters.cost_metrics.sending import Endpoint
from collector.model.signal import Signal
from collector.pipeline.component import ExporterFactory, Settings


def _create(settings: Settings, config: CostMetricsConfig) -> CostFilesExporter:
    endpoint = Endpoint(
        config.endpoint,
        headers={name: secret.reveal() for name, secret in config.headers.items()},
        compression=config.compression,
        timeout_s=float(config.timeout),
        ca_file=config.ca_file,
    )
    writer = CostMetricDays(endpoint.send, endpoint.url, MetricOptions(bases=config.bases))
    return CostFilesExporter(settings, config, writer)


FACTORY: Final = ExporterFactory(
    type_name="cost_metrics", config=CostMetricsConfig, signals=frozenset({Signal.COSTS}), create=_create
)
