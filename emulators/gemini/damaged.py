"""HTTP answers that no client expects: bodies of a wrong shape, impossible figures, errors that are harmful when stored.

Here: the shapes, each seen in public reports, drawn by a share from 0 to 1. Not here: damage inside an answer's text (spoil.py),
and Google's ordinary errors (api/errors.py).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TypeVar

from pydantic import JsonValue
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from emulators.gemini.api import errors
from emulators.gemini.faults import FaultName

ShapeT = TypeVar("ShapeT")
Body = dict[str, JsonValue]

USAGES: tuple[Body, ...] = (
    {},
    {"promptTokenCount": 100, "candidatesTokenCount": 50, "totalTokenCount": 9000},
    {"promptTokenCount": 100, "totalTokenCount": 100},
    {"promptTokenCount": 100, "candidatesTokenCount": 50, "cachedContentTokenCount": 1_000_000},
    {"promptTokenCount": 2**63, "candidatesTokenCount": 2**63},
    {"promptTokenCount": -100, "candidatesTokenCount": -50},
    {"promptTokenCount": 1.5, "candidatesTokenCount": "12"},
)
"""Nothing; a total above its parts; no count of the text that came; more cached than sent; too many; too few; odd types."""

_PAGE = "<!doctype html><title>Error</title>" + "<p>The server has met an error and is sorry.</p>" * 500
_HTML = (
    "<!doctype html><html><head><title>Error</title></head><body><h1>Our systems have detected unusual traffic</h1></body></html>"
)
_HOSTILE_MESSAGE = "Overloaded \ud83d\x00 for API key AIzaSyD-1234567890 at https://example.invalid/v1?key=AIzaSyD-1234567890"


def damaged(fault: FaultName | None, body: Body, share: float) -> Response | None:
    """The response that this fault makes from a good body, or None for a fault of another kind."""
    match fault:
        case "odd_usage":
            return JSONResponse({**body, "usageMetadata": _drawn(USAGES, share)})
        case "odd_shape":
            return _json(_drawn(SHAPES, share)(body))
        case "error_in_200":
            return JSONResponse(_drawn((errors.exhausted(fault), errors.unavailable(), errors.internal()), share).body())
        case _:
            return None


def unanswered(fault: FaultName | None, share: float) -> Response | None:
    """The response of this fault that the model has no part in, so that no token is used, or None for another fault."""
    match fault:
        case "html":
            return HTMLResponse(_HTML)
        case "empty_body":
            return JSONResponse({})
        case "hostile_error":
            return _drawn(ERRORS, share)()
        case "somebody_else":
            return _drawn(SOMEBODY_ELSE, share)()
        case _:
            return None


def continued(body: Body) -> Body:
    """The body of an answer that stopped half-way and offers a token with which it can be continued."""
    return {**body, "candidates": [{**_candidate(body), "finishReason": "CONTINUATION", "continuationToken": "dG9rZW4="}]}


def _candidate(body: Body) -> Body:
    candidates = body.get("candidates")
    first = candidates[0] if isinstance(candidates, list) and candidates else {}
    return first if isinstance(first, dict) else {}


def _with(**changes: JsonValue) -> Callable[[Body], str]:
    return lambda body: json.dumps({**body, "candidates": [{**_candidate(body), **changes}]})


SHAPES: tuple[Callable[[Body], str], ...] = (
    _with(content="a text where an object belongs"),
    _with(content={"parts": "a text where a list belongs"}),
    _with(content={"parts": [{"text": 7}]}),
    _with(finishReason=2),
    lambda body: json.dumps({**body, "candidates": {}}),
    lambda body: json.dumps(body)[:-1] + ', "number": ' + "1" * 5000,
    lambda body: json.dumps(body)[:-1] + ', "deep": ' + "[" * 100_000,
    lambda _: "[]",
    lambda _: "",
)


def _json(text: str) -> Response:
    return Response(text, media_type="application/json")


def _error(status: int, word: str, message: str, retry_delay: str = "") -> Callable[[], Response]:
    info = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": retry_delay}
    body = {"error": {"code": status, "message": message, "status": word, "details": [info] if retry_delay else []}}
    return lambda: Response(json.dumps(body), status, media_type="application/json")


ERRORS: tuple[Callable[[], Response], ...] = (
    _error(503, "UNAVAILABLE", _HOSTILE_MESSAGE),
    _error(429, "RESOURCE_EXHAUSTED", "Slow down.", "infs"),
    _error(503, "UNAVAILABLE", "Slow down.", "1e12s"),
    lambda: Response(b"\xff\xfe\xc3(", 500, media_type="application/json"),
    lambda: Response(_PAGE, 502, media_type="text/html"),
    lambda: Response(b'{"error": ' + b"[" * 100_000, 500, media_type="application/json"),
)

SOMEBODY_ELSE: tuple[Callable[[], Response], ...] = (
    lambda: RedirectResponse("https://login.example.invalid/", 302),
    lambda: Response(status_code=204),
    lambda: Response("Proxy Authentication Required", 407),
    lambda: Response(_PAGE, 404, media_type="text/html"),
)


def _drawn(shapes: Sequence[ShapeT], share: float) -> ShapeT:
    return shapes[min(int(share * len(shapes)), len(shapes) - 1)]
