"""The process's log: JSON or console, one line per event, repeated troubles held back and counted.

Nothing here is per item, and no secret gets in: components log fields they name, and a `Secret` prints as
`[REDACTED]`.
"""

from __future__ import annotations

import importlib
import logging
import sys
import threading
import traceback
from collections import OrderedDict
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, Final, Literal, cast

if TYPE_CHECKING:
    from structlog.typing import EventDict, FilteringBoundLogger, WrappedLogger

    from collector.model.clock import Clock

_LEVELS: Final = {"debug": 10, "info": 20, "warn": 30, "warning": 30, "error": 40}


def _import_structlog() -> Any:
    """Import structlog without what it would draw its console tracebacks with.

    `import structlog` loads rich and pygments if they are installed, which they are, for the command line: 4 MB
    that a sidecar would carry for nothing. A None in `sys.modules` makes the optional import fail, as documented
    ("The import system", 5.3.1); it is taken out again at once.
    """
    if "structlog" in sys.modules or "rich" in sys.modules:
        return importlib.import_module("structlog")
    optional = ("rich", "better_exceptions", "colorama")
    blocked = [name for name in optional if name not in sys.modules]
    for name in blocked:
        sys.modules[name] = cast(Any, None)
    try:
        return importlib.import_module("structlog")
    finally:
        for name in blocked:
            del sys.modules[name]


@dataclass(slots=True)
class _Run:
    """One message repeated: when the window began, how many came through and how many did not."""

    began: float
    shown: int = 0
    suppressed: int = 0


class RepeatLimit:
    """Holds back a warning or error that repeats, and says how many were held back.

    Of the same message of the same component, `burst` lines pass in each `window_s` seconds. A structlog
    processor; no thread of its own: `flush` is called now and then.
    """

    # More different messages than any build has; a message that embeds changing text must not fill memory.
    _RUNS_MAX: Final = 500

    def __init__(self, clock: Clock, *, burst: int = 3, window_s: float = 30.0) -> None:
        self._clock = clock
        self._burst = burst
        self._window_s = window_s
        self._lock = threading.Lock()
        self._runs: OrderedDict[tuple[str, str, str], _Run] = OrderedDict()

    def __call__(self, logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        """Let `event` pass, with a field `suppressed` if some before it did not; or raise `DropEvent`."""
        if method not in ("warning", "error", "critical", "exception"):
            return event
        key = (method, str(event.get("component", "")), str(event.get("event", "")))
        now = self._clock.monotonic()
        with self._lock:
            run = self._runs.get(key)
            if run is None:
                run = self._runs[key] = _Run(now)
                if len(self._runs) > self._RUNS_MAX:
                    self._runs.popitem(last=False)
            suppressed = 0
            if now - run.began >= self._window_s:
                suppressed = run.suppressed
                run.began, run.shown, run.suppressed = now, 0, 0
            if run.shown >= self._burst:
                run.suppressed += 1
                raise _import_structlog().DropEvent
            run.shown += 1
        if suppressed:
            event["suppressed"] = suppressed
        return event

    def flush(self) -> list[tuple[str, str, str, int]]:
        """Forget runs whose window is over; return (method, component, message, suppressed) of those cut short."""
        now = self._clock.monotonic()
        ended = []
        with self._lock:
            for key, run in list(self._runs.items()):
                if now - run.began >= self._window_s:
                    del self._runs[key]
                    if run.suppressed:
                        ended.append((*key, run.suppressed))
        return ended


class _ToStructlog(logging.Handler):
    """Passes what libraries log through the standard library on to ours."""

    def __init__(self, log: FilteringBoundLogger) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Log `record` with its library's name as component."""
        level = min(max(record.levelno // 10 * 10, logging.DEBUG), logging.ERROR)
        self._log.log(level, record.getMessage(), component=record.name, exc_info=record.exc_info or None)


def _plain_traceback(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Replace `exc_info` by the text of the traceback, as the field `exception`."""
    error = event.pop("exc_info", None)
    if error is True:
        error = sys.exc_info()[1]
    elif isinstance(error, tuple):
        error = error[1]
    if isinstance(error, BaseException):
        event["exception"] = "".join(traceback.format_exception(error)).rstrip()
    return event


def _in_reading_order(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Put first what every line has: when, how bad, what, who."""
    first = {"timestamp": event.pop("timestamp"), "level": event.pop("level"), "message": event.pop("event")}
    return first | ({"component": event.pop("component")} if "component" in event else {}) | dict(event)


Level = Literal["debug", "info", "warn", "error"]
Encoding = Literal["auto", "console", "json"]


class _Form:
    """The first and the last of the processors: what is written at all, and how. Both can change while it is used."""

    def __init__(self, structlog: Any, stream: IO[str]) -> None:
        self._structlog = structlog
        self._terminal = stream.isatty()
        self._least = 0
        self._finish: list[Any] = []

    def set(self, level: Level, encoding: Encoding) -> None:
        """Have another form."""
        processors = self._structlog.processors
        console = self._terminal if encoding == "auto" else encoding == "console"
        last: list[Any] = [processors.TimeStamper(fmt="iso", utc=not console)]
        if console:
            last.append(self._structlog.dev.ConsoleRenderer(colors=self._terminal))
        else:
            last += [_in_reading_order, processors.JSONRenderer(default=str, ensure_ascii=False)]
        self._finish = last
        self._least = _LEVELS[level]

    def admit(self, logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        """Let `event` pass if it is severe enough."""
        if _LEVELS.get(method, logging.ERROR) < self._least:
            raise self._structlog.DropEvent
        return event

    def render(self, logger: WrappedLogger, method: str, event: EventDict) -> Any:
        """Make it a line."""
        result: Any = event
        for processor in self._finish:
            result = processor(logger, method, result)
        return result


@dataclass(frozen=True, slots=True)
class Log:
    """The root logger and what has to be done for it now and then."""

    root: FilteringBoundLogger
    repeats: RepeatLimit
    form: _Form

    def configure(self, level: Level, encoding: Encoding) -> None:
        """Write what is at least so severe, in this form; all loggers that are bound to the root do at once."""
        self.form.set(level, encoding)
        logging.getLogger().setLevel(max(_LEVELS[level], logging.WARNING))

    def flush(self) -> None:
        """Write a line for every message that was held back and has not come again."""
        for method, component, message, suppressed in self.repeats.flush():
            self.root.log(
                _LEVELS.get(method, logging.ERROR),
                "Repeated messages were suppressed.",
                component=component,
                repeated=message,
                suppressed=suppressed,
            )


def open_log(stream: IO[str], clock: Clock, *, level: Level = "info", encoding: Encoding = "auto") -> Log:
    """Set up logging to `stream`: console form on a terminal and JSON elsewhere, unless `encoding` says.

    What libraries log through the standard library comes out of the same door from warning up.
    """
    structlog = _import_structlog()
    repeats = RepeatLimit(clock)
    form = _Form(structlog, stream)
    root: FilteringBoundLogger = structlog.wrap_logger(
        structlog.PrintLogger(stream),
        processors=[
            form.admit,
            structlog.processors.add_log_level,
            repeats,
            _plain_traceback,
            form.render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
        cache_logger_on_first_use=True,
    ).bind()
    logging.getLogger().handlers[:] = [_ToStructlog(root)]
    log = Log(root, repeats, form)
    log.configure(level, encoding)
    return log
