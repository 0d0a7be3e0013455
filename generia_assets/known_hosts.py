"""Host and origin checks for web servers without a password: protection against DNS rebinding and cross-site requests.

A foreign page, open in the same browser, can send requests to this machine: with a host name of its own that resolves to this
machine (DNS rebinding), or by a form, an image or a script whose answer it cannot read but whose effect remains. So a request has
to name a known host, and a request that can change something has to come from the same origin. Both web servers use these checks:
the worlds' pages (pages/app.py) and Dagster's (webserver.py). They replace no password: docs/security.md describes how to add one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from starlette.datastructures import Headers, QueryParams
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
HARMLESS = frozenset({"GET", "HEAD", "OPTIONS"})
_HOST = re.compile(r"(?:\[(?P<address>[0-9a-fA-F:.]+)\]|(?P<name>[^\s/?#@\\:\[\]\"'<>&]+))(?::\d{1,5})?")
POLICY_VIOLATION = 1008
"""The close code of a web socket that is refused."""


class KnownHosts:
    """ASGI middleware that refuses requests for unknown hosts, and other pages' requests that could change something.

    Known hosts are this machine's own names, the address at which the request came in, and those of ``allowed``.
    A browser names the requesting page in ``Origin``, except for plain reads (web sockets have it, too). That page is allowed if it
    has the same host and port as the request, or if ``allowed`` has its host: behind a proxy the two differ.
    ``queries_by_get``: paths at which a GET with a ``query`` is refused, because the query could be a mutation.
    """

    def __init__(self, app: ASGIApp, allowed: Iterable[str], queries_by_get: Iterable[str] = ()) -> None:
        self._app = app
        self._allowed = frozenset(name.strip().strip("[]").lower() for name in allowed) - {""}
        self._queries_by_get = frozenset(queries_by_get)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or refuse with 403 (405 for a query by GET) and the reason."""
        refusal = self._refusal(scope) if scope["type"] in ("http", "websocket") else None
        if refusal is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": refusal[1]})
        else:
            await PlainTextResponse(f"{refusal[1]}\n", refusal[0])(scope, receive, send)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        here = (scope.get("server") or ("",))[0]
        if _name(host) not in {*LOOPBACK, *self._allowed, here} - {""}:
            return 403, "This server is not known by that host name. Names are allowed by ALLOWED_HOSTS."
        reading = scope["type"] == "http" and scope["method"] in HARMLESS
        if reading and scope["path"].rstrip("/") in self._queries_by_get and "query" in QueryParams(scope["query_string"]):
            return 405, "Queries are taken by POST alone."
        origin = headers.get("origin")
        if origin is not None and not self._known(origin, host):
            return 403, "Another page asked for this. Pages are allowed by the names of their hosts, ALLOWED_HOSTS."
        if not reading and origin is None and headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            return 403, "Another page asked for this."
        return None

    def _known(self, origin: str, host: str) -> bool:
        place = origin.partition("://")[2].lower()
        return place == host.lower() or _name(place) in self._allowed


def _name(host: str) -> str:
    """The name in a ``Host`` header, without its port and brackets; '' if it is none, or if more than a port follows it."""
    found = _HOST.fullmatch(host)
    return (found["address"] or found["name"]).lower() if found else ""
