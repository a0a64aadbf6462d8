"""The file as a whole: sections, pipelines, references."""

from __future__ import annotations

import pytest

from collector.config.types import ByteSize, Duration
from collector.model.identity import ComponentID
from collector.model.signal import Signal
from collector.service.config import PipelineID, as_data
from collector.service.settings import ServiceConfig
from tests.unit.config.factories import BatchConfig, OtlpConfig, ProtocolsConfig, ServerConfig
from tests.unit.config.reading import VALID, config_of, messages, problems_of


def test_a_whole_file_is_read() -> None:
    """Otelcol's shape: components by `type/name`, pipelines by `signal/name`."""
    config = config_of("""
    receivers:
      otlp: {protocols: {grpc: }}
      otlp/two: {protocols: {http: {endpoint: ":1"}}}
    processors: {memory_limiter: , batch: {size: 5}}
    exporters: {debug: , debug/two: }
    extensions: {nothing: }
    service:
      extensions: [nothing]
      shutdown_timeout: 5s
      admin: {endpoint: "127.0.0.1:0"}
      telemetry: {logs: {level: debug, encoding: json}}
      pipelines:
        traces: {receivers: [otlp, otlp/two], processors: [memory_limiter, batch], exporters: [debug]}
        traces/two: {receivers: [otlp], exporters: [debug, debug/two]}
        logs: {receivers: [otlp], exporters: [debug]}
    """)
    otlp, two = ComponentID("otlp"), ComponentID("otlp", "two")
    assert config.receivers[otlp].config == OtlpConfig(protocols=ProtocolsConfig(grpc=ServerConfig()))
    assert config.receivers[two].factory.type_name == "otlp"
    assert config.processors[ComponentID("batch")].config == BatchConfig(size=5)
    assert config.extensions_started == (ComponentID("nothing"),)
    assert list(config.pipelines) == [
        PipelineID("traces"),
        PipelineID("traces", "two"),
        PipelineID("logs"),
    ]
    traces = config.pipelines[PipelineID("traces")]
    assert (traces.signal, traces.receivers) == (Signal.TRACES, (otlp, two))
    assert traces.processors == (ComponentID("memory_limiter"), ComponentID("batch"))
    assert config.pipelines[PipelineID("traces", "two")].exporters == (
        ComponentID("debug"),
        ComponentID("debug", "two"),
    )
    assert config.service.shutdown_timeout == 5.0
    assert config.service.admin.endpoint == "127.0.0.1:0"
    assert config.service.telemetry.logs.level == "debug"
    assert config.warnings == ()


def test_the_service_has_defaults() -> None:
    """Only pipelines have to be written."""
    service = config_of(VALID).service
    assert service.admin.endpoint == "127.0.0.1:13133"
    assert service.shutdown_timeout == 20.0
    assert (service.telemetry.logs.level, service.telemetry.logs.encoding) == ("info", "auto")


PIPELINES = """
receivers: {otlp: {protocols: {grpc: }}, spans: }
processors: {batch: , memory_limiter: , edit: }
exporters: {debug: , store: {connection_string: x}}
extensions: {nothing: }
service:
  extensions: [nothing]
  pipelines:
    traces: {receivers: [otlp, spans], processors: [edit, batch], exporters: [debug, store]}
"""


@pytest.mark.parametrize(
    ("pipeline", "expected"),
    [
        ("{receivers: [otpl], exporters: [debug]}", "receiver 'otpl' is not defined | did you mean 'otlp'?"),
        ("{receivers: [otlp], exporters: [jaeger]}", "exporter 'jaeger' is not defined | define it under exporters"),
        ("{receivers: [debug], exporters: [debug]}", "receiver 'debug' is not defined | it is defined under exporters"),
        ("{receivers: [spans], exporters: [debug]}", "receiver 'spans' does not support logs | it supports: traces"),
        ("{exporters: [debug]}", "pipeline 'logs' has no receiver | add receivers: [otlp, spans]"),
        ("{receivers: [otlp], exporters: []}", "pipeline 'logs' has no exporter | add exporters: [debug, store]"),
        ("{receivers: [otlp], exporters: [debug, debug]}", "service.pipelines.logs.exporters names 'debug' twice | remove it"),
        ("{receivers: [otlp], processors: [batch, edit, batch], exporters: [debug]}", "service.pipelines.logs.processors names 'batch' twice | remove it"),
        ("{receivers: otlp, exporters: [debug]}", "service.pipelines.logs.receivers: expected list of text, found a text | write it as a list: [value]"),
        ("{receiver: [otlp], receivers: [otlp], exporters: [debug]}", "unknown option 'receiver' | did you mean 'receivers'?"),
    ],
)  # fmt: skip
def test_a_pipeline_is_checked(pipeline: str, expected: str) -> None:
    """Each reference, at its place, and what is not there at all."""
    found = problems_of(f"{PIPELINES}    logs: {pipeline}\n")
    assert [expected] == [line.partition(" ")[2] for line in found if "is not used" not in line]
    assert found[0].startswith("11:")


def test_the_key_of_a_pipeline_is_a_signal() -> None:
    """Or a signal and a name."""
    body = "{receivers: [otlp], exporters: [debug]}"
    text = f"{PIPELINES}    metric: {body}\n    profiles: {body}\n    'traces/a b': {body}\n    traces/: {body}\n"
    assert problems_of(text)[:4] == [
        "11:5 'metric' is not a signal | did you mean 'metrics'?",
        "12:5 'profiles' is not a signal | otelcol has it in development",
        "13:5 service.pipelines: 'a b' is not a component name: no spaces, quotes, '/' or control characters",
        "14:5 service.pipelines: '' is not a component name: no spaces, quotes, '/' or control characters",
    ]


@pytest.mark.parametrize(
    "service", ["", "service:", "service: {}", "service: {pipelines: }", "service: {pipelines: {}}"]
)
def test_without_a_pipeline_nothing_would_run(service: str) -> None:
    """So it is an error."""
    found = problems_of(f"receivers: {{otlp: {{protocols: {{grpc: }}}}}}\n{service}\n")
    assert "there is no pipeline | nothing would run" in [line.partition(" ")[2] for line in found]


def test_an_unknown_component_type_is_answered_with_what_there_is() -> None:
    """Misspelt, of another kind, of otelcol's, or unheard of."""
    text = f"""{VALID}
extensions: {{health_check: }}
processors:
  bach:
  debug:
  attributes/x:
  3x:
"""
    assert [line for line in problems_of(text) if "not used" not in line] == [
        "8:3 unknown processor type 'bach' | did you mean 'batch'?",
        "9:3 unknown processor type 'debug' | it is a type of exporter",
        "10:3 otelcol's processor 'attributes' is not built here | use 'resource' for what is the same on all items of a resource",
        "11:3 processors: '3x' is not a component type: a letter, then letters, digits and '_'",
        "6:14 otelcol's extension 'health_check' is not built here | remove it: /livez, /readyz and /healthz are served by 'service.admin'",
    ]


def test_unknown_sections_are_sent_where_they_belong() -> None:
    """Misspelt, or one level too high."""
    text = f"{VALID}\nrecievers: {{}}\npipelines: {{}}\nconnectors: {{forward: }}\n"
    assert problems_of(text) == [
        "6:1 unknown section 'recievers' | did you mean 'receivers'?",
        "7:1 unknown section 'pipelines' | it belongs under service",
        "8:1 unknown section 'connectors' | connectors are not built: give each pipeline its own receivers and exporters",
    ]


def test_a_section_that_is_no_mapping_is_refused() -> None:
    """A list of components is a usual first try."""
    text = VALID.replace("exporters: {debug: }", "exporters: [debug]")
    assert (
        problems_of(text)[0]
        == "3:1 exporters: expected a mapping of exporters | write 'exporter_type:' below it"
    )


def test_a_component_with_an_error_is_not_undefined_as_well() -> None:
    """One mistake, one message."""
    text = VALID.replace("{protocols: {grpc: }}", "{protocols: {grcp: }}")
    assert problems_of(text) == ["2:32 unknown option 'grcp' | did you mean 'grpc'?"]


def test_what_is_defined_and_not_used_is_a_warning() -> None:
    """It is checked all the same, and nothing of it will run."""
    text = f"{VALID}\nprocessors: {{batch: }}\nextensions: {{nothing: }}\n"
    assert messages(config_of(text).warnings) == [
        "6:14 processor 'batch' is not used | no pipeline names it",
        "7:14 extension 'nothing' is not used | service.extensions does not name it",
    ]
    assert "6:28 processors.batch.size is 0 | must be at least 1" in problems_of(
        text.replace("{batch: }", "{batch: {size: 0}}")
    )


def test_a_memory_limiter_that_is_not_first_is_a_warning() -> None:
    """What the processors before it do is in vain when it refuses."""
    text = VALID.replace("exporters: [debug]", "processors: [batch, memory_limiter], exporters: [debug]")
    config = config_of(f"{text}processors: {{batch: , memory_limiter: }}\n")
    assert messages(config.warnings) == [
        "4:71 'memory_limiter' is not the first processor | put it first: what was done before it refuses was in vain"
    ]


def test_mistakes_of_every_kind_are_found_in_one_run() -> None:
    """YAML's, the environment's, a component's, the service's and a reference's."""
    found = problems_of("""
    receivers: {otlp: {protocols: {grpc: {endpoint: "${env:NONE}"}}}, otlp: }
    processors: {batch: {sizes: 1}}
    exporters: {debug: {x: 1}}
    service:
      shutdown_timeout: soon
      pipelines: {traces: {receivers: [otpl], exporters: [debug]}}
    """)
    assert [line.partition(" ")[2].partition(" |")[0] for line in found if "not used" not in line] == [
        "key 'otlp' is there twice",
        "environment variable NONE is not set",
        "unknown option 'sizes'",
        "unknown option 'x'",
        "service.shutdown_timeout: 'soon' is not a duration: write it like 200ms, 5s, 1h30m or 90d",
        "receiver 'otpl' is not defined",
    ]


def test_options_can_be_set_over_the_file() -> None:
    """And a mistake in one is shown with the argument itself."""
    config = config_of(
        VALID, sets=["service.shutdown_timeout=1m", "receivers::otlp::protocols::grpc::endpoint=x"]
    )
    assert config.service.shutdown_timeout == 60.0
    assert problems_of(VALID, sets=["service.shutdown_timout=1m"]) == [
        "1:9 unknown option 'shutdown_timout' | did you mean 'shutdown_timeout'?"
    ]


def test_the_whole_configuration_is_printed_in_the_shape_of_the_file() -> None:
    """Defaults filled in, sections that are off left out, secrets redacted."""
    text = VALID.replace(
        "debug: }", "debug: , store: {connection_string: 'postgresql://me:pw@host/db', password: pw}}"
    )
    text = text.replace("exporters: [debug]", "exporters: [debug, store]")
    data = as_data(config_of(text))
    assert data["receivers"] == {
        "otlp": {"protocols": {"grpc": {"endpoint": "127.0.0.1:4317", "size_max": "4MiB"}}}
    }
    assert data["exporters"]["store"]["connection_string"] == "postgresql://me:[REDACTED]@host/db"
    assert data["exporters"]["store"]["password"] == "[REDACTED]"
    assert "pw" not in str(data)
    assert data["service"]["pipelines"] == {
        "traces": {"receivers": ["otlp"], "processors": [], "exporters": ["debug", "store"], "ack": None}
    }
    assert as_data(config_of(text), reveal=True)["exporters"]["store"]["password"] == "pw"


def test_the_bound_on_requests_in_work_follows_the_memory_there_is() -> None:
    """A share of the control group's limit, at most 1 GiB; what the file says goes before."""
    mib = 1024 * 1024
    assert 40 * mib < ServiceConfig().memory(192 * mib).requests < 56 * mib
    assert ServiceConfig().memory(64 * 1024 * mib).requests == 1024 * mib
    assert ServiceConfig().memory(None).requests == 1024 * mib
    assert ServiceConfig(in_flight_size_max=ByteSize(mib)).memory(192 * mib).requests == mib


def test_a_delay_of_the_stop_is_a_part_of_the_time_it_has() -> None:
    """Or nothing would be left for what is queued."""
    found = ServiceConfig(shutdown_delay=Duration(20), shutdown_timeout=Duration(20)).validate()
    assert [invalid.key for invalid in found] == ["shutdown_delay"]
    assert not list(ServiceConfig(shutdown_delay=Duration(5)).validate())
