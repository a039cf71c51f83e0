"""The table of the server API: what there is to ask for, which key is needed, and who answers.

The routes and the checks of what comes with them are made from it, and the description that
`openapi.py` gives.
"""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import attrs
import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from greenroom.node.admin.gate import address_of, key_of
from greenroom.node.admin.keys import AdminKey, Scope
from greenroom.node.http.posts import json_answer, plain_error, read_object
from greenroom.node.logs import AUDIT_LOGGER

audit: structlog.stdlib.BoundLogger = structlog.get_logger(AUDIT_LOGGER)

VERSION: Final = "v1"
MAX_BODY_BYTES: Final = 256 * 1024
"""Holds the longest content, each of its characters escaped."""
MAX_LIMIT: Final = 1_000
ENDLESS: Final = 2**53
"""Beyond it not every reader of JSON knows a number exactly."""
PATH_FIELD: Final = re.compile(r"{(\w+)}")

JsonObject = Mapping[str, Any]  # Any: what JSON holds


class Problem(Exception):
    """What was asked for can't be done; the text says why, for the operator."""

    def __init__(
        self, status: HTTPStatus, text: str, *, retry_after_seconds: float | None = None
    ) -> None:
        super().__init__(status, text, retry_after_seconds)
        self.status, self.text = status, text
        self.retry_after_seconds = retry_after_seconds


@attrs.frozen(kw_only=True)
class Field:
    """Something that comes with a request: in its path, its query or its body."""

    name: str
    help: str
    kind: type[str | int] = str
    required: bool = False
    low: int = 0
    high: int = ENDLESS
    """Of a number; of a text, its length."""

    def read(self, value: object) -> object:
        """Check one value.

        Raises:
            Problem: It is not what it has to be.
        """
        fits = type(value) is self.kind  # a bool is no number
        if fits and isinstance(value, int):
            fits = self.low <= value <= self.high
        if fits and isinstance(value, str):
            fits = max(1, self.low) <= len(value) <= self.high and "\0" not in value
        if not fits:
            raise Problem(HTTPStatus.BAD_REQUEST, f"{self.name} has to be {self._phrase()}")
        return value

    def _phrase(self) -> str:
        if self.kind is int:
            return f"a whole number from {self.low} to {self.high}"
        least = max(1, self.low)
        size = f"{least} to {self.high}" if self.high < ENDLESS else f"{least} or more"
        return f"a text of {size} characters, without U+0000"

    @property
    def schema(self) -> JsonObject:
        """As OpenAPI describes it."""
        if self.kind is int:
            return {"type": "integer", "minimum": self.low, "maximum": self.high}
        return {"type": "string", "minLength": max(1, self.low), "maxLength": self.high}


@attrs.frozen(kw_only=True)
class Call:
    """One request, checked."""

    who: str
    """The key's name."""
    given: Mapping[str, Any]  # Any: of each field's type
    """By field; those not given are None."""


Answerer = Callable[[Call], Awaitable[JsonObject]]


@attrs.frozen(kw_only=True)
class Entry:
    """One line of the table."""

    method: str
    path: str
    """Below the version; fields in braces."""
    summary: str
    answer: Answerer
    fields: Sequence[Field] = ()

    @property
    def scope(self) -> Scope:
        """What the key has to be good for."""
        return Scope.READ if self.method == "GET" else Scope.WRITE

    @property
    def whole_path(self) -> str:
        """As it is asked for."""
        return f"/{VERSION}/{self.path}"


def app_of(table: Sequence[Entry]) -> ASGIApp:
    """Build the app that answers what the table has, behind the gate."""
    by_path: dict[str, list[Entry]] = {}
    for entry in table:
        by_path.setdefault(entry.whole_path, []).append(entry)

    def route_of(path: str, entries: Sequence[Entry]) -> Route:
        by_method = {entry.method: entry for entry in entries}

        async def endpoint(request: Request) -> Response:
            method = "GET" if request.method == "HEAD" else request.method
            return await _serve(by_method[method], request)

        return Route(path, endpoint, methods=list(by_method))

    routes = [route_of(path, entries) for path, entries in by_path.items()]
    app = Starlette(routes=routes, exception_handlers={HTTPException: plain_error})
    app.router.redirect_slashes = False
    return app


async def _serve(entry: Entry, request: Request) -> Response:
    key = key_of(request)
    given: Mapping[str, object] = {}
    outcome = "failed"
    try:
        _check_scope(entry, key)
        given = await _read(entry, request)
        answer = await entry.answer(Call(who=key.name, given=given))
    except Problem as problem:
        outcome = f"refused: {problem.text}"
        return _answer_problem(problem)
    except HTTPException as error:
        outcome = f"refused: {error.detail}"
        raise
    else:
        outcome = "done"
        return json_answer(answer)
    finally:
        if entry.scope is Scope.WRITE:
            whom = {name: given[name] for name in AUDITED if given.get(name) is not None}
            audit.info(
                "audit",
                action=entry.path,
                who=key.name,
                **whom,
                outcome=outcome,
                peer=address_of(request),
            )


def _check_scope(entry: Entry, key: AdminKey) -> None:
    if entry.scope not in key.scopes:
        raise HTTPException(403)


AUDITED: Final = ("room", "user", "connection", "token_id", "key")
"""Fields that say whom an action was about; never what somebody wrote."""


async def _read(entry: Entry, request: Request) -> Mapping[str, object]:
    """Collect the fields, each from its one place, and refuse what nobody knows."""
    in_path = set(PATH_FIELD.findall(entry.path))
    if entry.method == "GET":
        raw: dict[str, object] = dict(request.query_params)
        if len(raw) < len(request.query_params.multi_items()):
            raise Problem(HTTPStatus.BAD_REQUEST, "each parameter may stand once")
    else:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise HTTPException(415)
        raw = await read_object(request, max_bytes=MAX_BODY_BYTES)
    known = {field.name: field for field in entry.fields if field.name not in in_path}
    unknown = sorted(set(raw) - set(known))
    if unknown:
        raise Problem(HTTPStatus.BAD_REQUEST, f"known fields are {', '.join(known) or 'none'}")
    raw |= request.path_params
    given: dict[str, object] = {}
    for field in entry.fields:
        value = raw.get(field.name)
        if value is None and field.required:
            raise Problem(HTTPStatus.BAD_REQUEST, f"{field.name} is missing")
        if isinstance(value, str) and field.kind is int and entry.method == "GET":
            value = int(value) if value.isascii() and value.isdigit() and len(value) < 16 else value
        given[field.name] = None if value is None else field.read(value)
    return given


def _answer_problem(problem: Problem) -> Response:
    answer = json_answer({"error": problem.text}, problem.status)
    if problem.retry_after_seconds is not None:
        answer.headers["Retry-After"] = str(max(1, round(problem.retry_after_seconds)))
    return answer
