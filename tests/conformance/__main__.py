"""The checklist against any server: `python -m tests.conformance --http http://HOST:4318 --grpc HOST:4317`."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import pytest


def main() -> int:
    """Run it; without addresses, against this project's daemon. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    parser.add_argument("--http", help="OTLP/HTTP: a URL or host:port")
    parser.add_argument("--grpc", help="OTLP/gRPC: host:port")
    parser.add_argument("--size-max", type=int, help="that server's limit on requests, in bytes (64 MiB)")
    given, rest = parser.parse_known_args()
    if bool(given.http) != bool(given.grpc):
        parser.error("--http and --grpc go together")
    if given.http:
        os.environ["COLLECTOR_CONFORMANCE_HTTP"] = given.http
        os.environ["COLLECTOR_CONFORMANCE_GRPC"] = given.grpc
        if given.size_max:
            os.environ["COLLECTOR_CONFORMANCE_SIZE_MAX"] = str(given.size_max)
    return int(pytest.main([str(Path(__file__).parent), "-q", "--tb=short", *rest]))


sys.exit(main())
