"""`Load`: the generator's process as a fault sees it, and the journal it leaves."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.faults.generator import ACKED, REFUSED, UNANSWERED, Plan, Request
from tests.support.daemon import ROOT
from tests.support.eventually import eventually


class Load:
    """A running generator. `finish` it, then read its `requests`."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.path = Path(plan.journal)
        self.path.touch()
        self._read_upto = 0
        self._requests: list[Request] = []
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("COLLECTOR_", "OTEL_"))
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.generator", json.dumps(dataclasses.asdict(plan))],
            cwd=ROOT,
            # gRPC says on stderr what it tries: that is the point of a fault, and no news.
            env=kept | {"PYTHONPATH": str(ROOT), "GRPC_VERBOSITY": "NONE"},
            stdin=subprocess.PIPE,
        )

    @property
    def requests(self) -> list[Request]:
        """Those with a known fate so far."""
        with self.path.open("rb") as file:
            file.seek(self._read_upto)
            new = file.read()
        complete, newline, _ = new.rpartition(b"\n")
        self._read_upto += len(complete) + len(newline)
        self._requests += [Request(**json.loads(line)) for line in complete.splitlines()]
        return self._requests

    @property
    def acked(self) -> int:
        """Items acknowledged so far, without those that were rejected by partial success."""
        return count_items(self.requests, ACKED)

    def wait_for(self, items: int, *, within_s: float = 60.0) -> None:
        """Wait until so many more items were acknowledged."""
        goal = self.acked + items
        eventually(lambda: self.acked >= goal, within_s=within_s, what=f"{items} more acknowledged items")

    def wait(self, within_s: float) -> None:
        """Wait until the plan is fulfilled."""
        assert self._process.wait(within_s) == 0, "the generator failed"

    def finish(self) -> list[Request]:
        """Let every client finish the request it is at, and return all."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self.wait(self.plan.patience_s + self.plan.timeout_s + 20.0)
        return self.requests

    def kill(self) -> None:
        """End it if it has not ended."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait(10)
        if self._process.stdin is not None:
            self._process.stdin.close()


def count_items(requests: list[Request], *outcomes: str) -> int:
    """Items of requests with one of these outcomes (without one: of all), without rejected ones."""
    return sum(
        request.count - request.rejected
        for request in requests
        if request.outcome in (outcomes or (ACKED, REFUSED, UNANSWERED))
    )


def numbers(request: Request) -> Iterator[Any]:
    """The items of a request."""
    return ((request.client, number) for number in range(request.first, request.first + request.count))
