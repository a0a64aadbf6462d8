# syntax=docker/dockerfile:1
# Two stages: the second has Python and the package, no compiler and no pip. Debian slim, because protobuf has no wheel
# for musl and would silently run many times slower on Alpine.
ARG BASE=python:3.13-slim-bookworm

FROM ${BASE} AS build
WORKDIR /src
# The compiler for the native encoders; without one the package would install, and be slower.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
RUN python -m venv --copies /opt/collector
COPY pyproject.toml setup.py README.md LICENSE NOTICE ./
COPY collector ./collector
RUN /opt/collector/bin/pip install --no-cache-dir --no-compile . \
    && /opt/collector/bin/python -m compileall -q -j 0 /opt/collector/lib \
    && /opt/collector/bin/pip uninstall --yes --quiet pip

FROM ${BASE}
LABEL org.opencontainers.image.title="collector" \
      org.opencontainers.image.description="OpenTelemetry collector that stores traces, metrics and logs in TimescaleDB, PostgreSQL or SQLite" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/collector /opt/collector
# The data directory belongs to the user; with a read-only root file system mount a volume there.
RUN install -d -o 65532 -g 65532 /var/lib/collector
ENV PATH=/opt/collector/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    MALLOC_ARENA_MAX=2 \
    COLLECTOR_DATA_DIR=/var/lib/collector
USER 65532:65532
EXPOSE 4317 4318 13133
STOPSIGNAL SIGTERM
ENTRYPOINT ["collector"]
CMD ["run"]
