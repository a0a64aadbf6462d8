"""Options of the `cost_metrics` exporter."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

from collector.accounting.files_exporter import CostFilesConfig
from collector.config.option import Invalid, option
from collector.config.types import Secret

_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", re.ASCII)
_VALUE: Final = re.compile(r"[\t\x20-\x7e]*", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class CostMetricsConfig(CostFilesConfig):
    """Costs as metrics, to an OTLP/HTTP endpoint. The directory keeps what has been sent."""

    endpoint: str = option(
        doc="Where to: a base URL, to which /v1/metrics is appended.", example="http://otel-collector:4318"
    )
    headers: Mapping[str, Secret] = option(
        default_factory=dict,
        doc="Headers of every request.",
        example="{Authorization: 'Bearer ${env:TOKEN}'}",
    )
    compression: Literal["gzip", "none"] = option("gzip", doc="Of the requests' bodies.")
    ca_file: Path | None = option(
        None,
        doc="Certificates (PEM) of the authorities that are trusted, for https. Left out: the system's.",
    )
    bases: tuple[Literal["effective", "billed", "list"], ...] = option(
        ("effective",), doc="Which costs; each is a series of its own."
    )

    def validate(self) -> Iterator[Invalid]:
        """Check what belongs together."""
        yield from CostFilesConfig.validate(self)
        try:
            url = urlsplit(self.endpoint)
            ok = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
        except ValueError:
            ok = False
        if not ok:
            yield Invalid(
                "endpoint", f"{self.endpoint!r} is no URL: write it like http://otel-collector:4318"
            )
        elif url.username or url.query or url.fragment:
            yield Invalid("endpoint", "has a user, a query or a fragment: credentials go into `headers`")
        for name, value in self.headers.items():
            if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value.reveal()):
                yield Invalid(
                    f"headers.{name}", "is not a header: a name of letters and hyphens, a value on one line"
                )
        if self.ca_file is not None and not self.ca_file.is_file():
            yield Invalid("ca_file", f"there is no file {self.ca_file}")
        elif self.ca_file is not None:
            try:
                ssl.create_default_context(cafile=self.ca_file)
            except OSError as error:  # of ssl too
                yield Invalid(
                    "ca_file", f"{self.ca_file} cannot be read as PEM certificates: {error.strerror or error}"
                )
        if not self.bases:
            yield Invalid("bases", "is empty: leave it out, or name effective, billed or list")
