"""`GET /allocation`: costs in the answer of OpenCost's API, from the database of an exporter.

    /allocation, /allocation/compute    an allocation has all of OpenCost's fields
    /allocation/summary                 the fewer fields of its summary

Parameters are OpenCost's (`cost.opencost.query`), and `exporter` where costs are in several databases.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from collector.cost.opencost.allocation import AllocationSets
from collector.cost.opencost.answer import answer as full_answer
from collector.cost.opencost.answer import error, summary
from collector.cost.opencost.query import parse_query
from collector.cost.opencost.window import QueryError
from collector.model.errors import TelemetryError
from collector.query.allocations import read_allocated
from collector.query.dialect import Dialect
from collector.query.reader import Reader
from collector.service.cost_stores import StoreChoiceError, choose_store
from collector.storage.store import QueryError as DatabaseError

if TYPE_CHECKING:
    from collector.model.clock import Clock
    from collector.service.cost_stores import CostStore

_JSON: Final = "application/json"
# Of one answer: a row is about 1.3 KB, so that it is 26 MB at most.
ROWS_MAX: Final = 20_000
# Before whoever asked is told that there is no answer: the admin server waits for 10 s.
READING_MAX_S: Final = 7.0
_LOOK_EVERY: Final = 256  # costs

_Answer = tuple[int, str, bytes]


def answer(
    path: str, parameters: Mapping[str, str], stores: Mapping[str, CostStore], clock: Clock
) -> _Answer:
    """Status, content type and body of the answer to a request.

    Args:
        path: One of the above.
        parameters: As they were sent.
        stores: The databases, by the names of their exporters.
        clock: What `today` is, and how long reading takes.
    """
    try:
        asked = dict(parameters)
        exporter = asked.pop("exporter", "")
        query = parse_query(asked, clock.unix_nano())
        store = choose_store(exporter, stores).store
        sets = AllocationSets(query, rows_max=ROWS_MAX)
        until = clock.monotonic() + READING_MAX_S
        reader = Reader(store, Dialect(store.dialect == "sqlite"), clock, READING_MAX_S)
        for number, one in enumerate(read_allocated(reader, query)):
            if number % _LOOK_EVERY == 0 and clock.monotonic() > until:
                return _error(
                    503,
                    f"window: {number} costs were read in {READING_MAX_S:g} s, and there are more; ask for a shorter "
                    "one, or use `collector cost allocation`, which takes its time",
                )
            sets.add(one)
        pieces = (summary if path.endswith("/summary") else full_answer)(sets, query)
        return 200, _JSON, b"".join(pieces) + b"\n"
    except QueryError as problem:
        return _error(400, str(problem))
    except StoreChoiceError as problem:
        return _error(400, f"exporter: {problem}")
    except TelemetryError as problem:
        # The reason is one of a few words; a driver's message could quote the connection string.
        return _error(503, f"the database cannot be read now: {problem.reason}")
    except DatabaseError:
        return _error(
            503, "the database cannot answer; are its tables up to date (collector database migrate)?"
        )


def _error(status: int, message: str) -> _Answer:
    return status, _JSON, error(status, message)
