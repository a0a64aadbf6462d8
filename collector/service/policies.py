"""Policies over HTTP, in FinOpsGuard's request and response shapes; under `/mcp/` there, here without.

    POST   /policy/evaluate   {"policy_id": …, "mode": "advisory" | "blocking", "environment": …, "context": {…}, "at": …}
    GET    /policies          POST: a policy to keep
    GET    /policies/ID       as it was written; PUT: another in its place; DELETE
    GET    /analyses          ?policy_id=&status=&limit=&after=

`?exporter=ID` says in whose database, if costs are in several. Who may ask is who reaches the admin endpoint;
changing is allowed only where that is on loopback, unless `service.admin.changes` says otherwise. These functions know
nothing of sockets: method, path, query and body in, status, content type and body out. They may take long.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from collector.accounting.errors import AccountingError
from collector.accounting.policies import MODES, Outcome, PolicyEvaluator
from collector.accounting.policy_book import PolicyBook, PolicyExistsError
from collector.accounting.policy_forms import analysis_form, policy_form, verdict_form
from collector.cost.policy.document import json_text, placed, with_fields
from collector.cost.policy.policy import PolicyError, Status, Value
from collector.cost.policy.read import context_of, json_value
from collector.model.clock import Clock
from collector.model.errors import TelemetryError
from collector.query.when import iso, unix_nano
from collector.service.cost_stores import CostStore, StoreChoiceError, choose_store
from collector.storage.store import QueryError, SchemaError

Query = Mapping[str, Sequence[str]]
Answer = tuple[int, str, bytes]  # status, content type, body

_JSON: Final = "application/json"
# Below the patience of the admin server.
_TIMEOUT_S: Final = 8.0
_ANALYSES_MAX: Final = 1000
_UNDERSTOOD: Final = frozenset({"policy_id", "mode", "environment", "context", "at"})


class _Refusal(Exception):  # noqa: N818  an answer, not a fault
    """A request that is answered with an error."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class PolicyAnswers:
    """The handlers.

    Args:
        stores: The databases, by the names of their exporters.
        changes: Whether policies may be changed from here.
        clock: What the time is.
    """

    def __init__(
        self,
        stores: Callable[[], Mapping[str, CostStore]],
        changes: Callable[[], bool],
        clock: Clock,
    ) -> None:
        self._stores = stores
        self._changes = changes
        self._clock = clock

    def answer(self, method: str, path: str, query: Query, body: bytes) -> Answer:
        """Answer a request to one of the paths above. Blocks until the database has answered."""
        if path == "/policy/evaluate":
            return _answered(lambda: self._evaluate(query, body))
        if path == "/analyses":
            return _answered(lambda: self._analyses(query))
        policy_id = path.removeprefix("/policies").strip("/")
        return _answered(lambda: self._policies(method, policy_id, query, body))

    def _policies(self, method: str, policy_id: str, query: Query, body: bytes) -> Answer:
        allowed = ("GET", "HEAD", "PUT", "DELETE") if policy_id else ("GET", "HEAD", "POST")
        if method not in allowed:
            raise _Refusal(405, f"this takes {', '.join(allowed)}")
        book = self._book(query)
        if method in ("GET", "HEAD"):
            return self._read(book, policy_id)
        if not self._changes():
            raise _Refusal(
                403,
                "policies cannot be changed from here, because the admin endpoint is not on loopback:"
                " use `collector policy`, or set service.admin.changes",
            )
        if method == "DELETE":
            if not book.remove(policy_id):
                raise _not_found(policy_id)
            return _json(200, {"message": f"Policy {policy_id} deleted successfully"})
        document = _text(body)
        try:
            if method == "PUT":
                stored = book.replace(policy_id, document)
                if stored is None:
                    raise _not_found(policy_id)
                form = policy_form(stored)
                return _json(200, form | {"message": f"Policy {stored.policy.name} updated successfully"})
            if isinstance(data := json_value(document, "the policy"), dict) and data.get("id") is None:
                document = with_fields(document, id=str(uuid.uuid4()))  # as FinOpsGuard does
            [stored] = book.add([document])
        except PolicyError as error:
            raise _Refusal(400, placed(error, document)) from error
        except PolicyExistsError as error:
            raise _Refusal(409, f"{error}: PUT replaces one") from error
        return _json(
            200, {"message": f"Policy {stored.policy.id} created successfully", "id": stored.policy.id}
        )

    def _read(self, book: PolicyBook, policy_id: str) -> Answer:
        if not policy_id:
            return _json(200, {"policies": [policy_form(stored) for stored in book.policies()]})
        found = book.get(policy_id)
        if found is None:
            raise _not_found(policy_id)
        return 200, _JSON, found.document.encode()

    def _analyses(self, query: Query) -> Answer:
        status, limit = _parameter(query, "status"), _parameter(query, "limit") or "20"
        if status and status not in {one.value for one in Status}:
            raise _Refusal(400, f"status: {status!r} is not one of pass, advisory, block")
        if not limit.isdecimal() or not 0 < int(limit) <= _ANALYSES_MAX:
            raise _Refusal(400, f"limit: {limit!r} is not a number from 1 to {_ANALYSES_MAX}")
        found = self._book(query).analyses(
            policy_id=_parameter(query, "policy_id") or None,
            status=Status(status) if status else None,
            after=_parameter(query, "after") or None,
            limit=int(limit) + 1,
        )
        page = found[: int(limit)]
        items = [
            {
                "request_id": one.analysis_id,
                "started_at": iso(one.time_unix_nano),
                "summary": f"{one.policy_id}: {one.status.value}: {one.reasons[0]}",
                **analysis_form(one),
            }
            for one in page
        ]
        return _json(
            200, {"items": items, "next_cursor": page[-1].analysis_id if len(found) > len(page) else None}
        )

    def _evaluate(self, query: Query, body: bytes) -> Answer:
        store, book = self._store(query).store, self._book(query)
        request = _request(body)
        policy_id, mode = _word(request, "policy_id"), _word(request, "mode")
        if mode and mode not in MODES:
            raise _Refusal(400, f"mode: {mode!r} is not one of {', '.join(MODES)}")
        at = self._clock.unix_nano()
        if when := _word(request, "at"):
            try:
                at = unix_nano(when, self._clock)
            except ValueError as error:
                raise _Refusal(400, f"at: {error}") from error
        context: dict[str, Value] = {}
        if environment := _word(request, "environment"):
            context["environment"] = environment
        if request.get("context") is not None:
            try:
                context |= context_of(request["context"])
            except PolicyError as error:
                raise _Refusal(400, str(error)) from error
        chosen = book.policies(enabled_only=True)
        if policy_id:
            found = book.get(policy_id)
            if found is None:
                answer = verdict_form(Outcome((), ()), policy_id) | {"status": "fail"}
                return _json(404, answer | {"detail": {"error": f"Policy {policy_id} not found"}})
            chosen = [found]
        evaluator = PolicyEvaluator(store, self._clock, timeout_s=_TIMEOUT_S)
        outcome = evaluator.evaluate(chosen, at, context=context, mode=mode)
        book.record(outcome.analyses)
        form = verdict_form(outcome, policy_id or None)
        # What is sent for FinOpsGuard to read is not read here, and nobody shall think so.
        if ignored := sorted(name for name in request if name not in _UNDERSTOOD):
            form["ignored"] = ignored
        return _json(200, form)

    def _book(self, query: Query) -> PolicyBook:
        chosen = self._store(query)
        return PolicyBook(chosen.store, self._clock, keep_s=chosen.keep_analyses_s)

    def _store(self, query: Query) -> CostStore:
        try:
            return choose_store(_parameter(query, "exporter"), self._stores())
        except StoreChoiceError as error:
            raise _Refusal(404 if error.missing else 400, str(error)) from error


def _answered(ask: Callable[[], Answer]) -> Answer:
    """The answer, or the error as one: in FinOpsGuard's form."""
    try:
        return ask()
    except _Refusal as refusal:
        status, text = refusal.status, str(refusal)
    except (SchemaError, QueryError) as error:
        status, text = 503, str(error)
    except AccountingError as error:
        status, text = 400, str(error)
    except TelemetryError as error:
        # The reason is one of a few words; a driver's message could quote the connection string.
        status, text = 503, f"the database cannot be asked now: {error.reason}"
    return _json(status, {"detail": {"error": text}})


def _not_found(policy_id: str) -> _Refusal:
    return _Refusal(404, f"Policy {policy_id} not found")


def _json(status: int, value: Mapping[str, Any]) -> Answer:
    return status, _JSON, msgspec.json.format(json_text(value).encode(), indent=2) + b"\n"


def _text(body: bytes) -> str:
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _Refusal(400, "the body is not UTF-8") from error


def _request(body: bytes) -> dict[str, Any]:
    text = _text(body)
    if not text.strip():
        return {}
    try:
        data = json_value(text, "the body")
    except PolicyError as error:
        raise _Refusal(400, placed(error, text)) from error
    if not isinstance(data, dict):
        raise _Refusal(400, "the body is not a JSON object")
    return data


def _word(request: Mapping[str, Any], name: str) -> str:
    value = request.get(name)
    if value is not None and not isinstance(value, str):
        raise _Refusal(400, f"{name}: is not a text")
    return value or ""


def _parameter(query: Query, name: str) -> str:
    values = query.get(name)
    return values[-1] if values else ""
