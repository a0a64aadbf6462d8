"""Which signal a URL path is for; and if it is for none, what was probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Final

from collector.model.signal import Signal

# The specification's path, and the one of otelcol's README.
_PROFILES: Final = ("/v1development/profiles", "/v1/profiles")
_PATH_SHOWN: Final = 200


class Routes:
    """The paths of one listener. `signals` have a pipeline; the other paths are known, but lead nowhere."""

    def __init__(self, paths: Mapping[Signal, str], signals: Iterable[Signal], receiver: str) -> None:
        self._by_path = {path: signal for signal, path in paths.items()}
        self._signals = frozenset(signals)
        self._receiver = receiver

    def find(self, path: str) -> Signal | None:
        """The signal with a pipeline that is sent to `path`."""
        signal = self._by_path.get(path)
        return signal if signal in self._signals else None

    def why_not(self, path: str) -> str:
        """What to tell a client for whose path `find` found nothing."""
        taken = [known for known, signal in self._by_path.items() if signal in self._signals]
        signal = self._by_path.get(path)
        if signal is not None:
            return (
                f"this collector has no pipeline for {signal.value}, only {', '.join(taken)}; "
                f"add one with receiver {self._receiver!r} under 'service.pipelines'"
            )
        if path in _PROFILES:
            return f"profiles are not supported; this collector takes {', '.join(taken)}"
        shown = path if len(path) <= _PATH_SHOWN else f"{path[:_PATH_SHOWN]}…"
        meant = self._meant(path)
        if meant is not None:
            return f"nothing is at {shown}; did you mean {meant}?"
        return f"nothing is at {shown}; OTLP/HTTP is sent by POST to {', '.join(taken)}"

    def _meant(self, path: str) -> str | None:
        """The nearest path: slashes and case forgiven, a prefix or suffix dropped, a few letters wrong."""
        plain = "/" + "/".join(part for part in path[:_PATH_SHOWN].lower().split("/") if part)
        for known, signal in self._by_path.items():
            if plain.endswith((known, signal.http_path)) or plain == f"/{signal.value}":
                return known
        near = difflib.get_close_matches(plain, self._by_path, n=1, cutoff=0.75)
        return near[0] if near else None
