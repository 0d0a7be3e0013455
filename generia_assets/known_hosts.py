"""Which requests a web server answers that asks for no password: those of the people who have it open, and of no other page.

A page of a stranger, open in the same browser, can send requests to this machine: with a name of its own that leads here (DNS
rebinding), or by a form, a picture or a script whose answer it cannot read, but whose effect would stay. So a request has to name a
host that is known, and what can change something has to come from the same place. Both kinds of pages are served behind this: the
worlds' (pages/app.py) and Dagster's (webserver.py). It is no password: docs/security.md says how to put one in front.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, QueryParams
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
HARMLESS = frozenset({"GET", "HEAD", "OPTIONS"})
POLICY_VIOLATION = 1008
"""The close code of a web socket that is refused."""


class KnownHosts:
    """ASGI middleware that refuses requests for unknown hosts, and other pages' requests that could change something.

    Known hosts are this machine's own names, the address at which the request came in, and those of ``allowed``.
    A request names its page in ``Origin`` (all but plain reading does, web sockets too). That page is known if it is at the same
    host and port as what it asks for, or if its host is allowed by name: where a proxy stands before the server the two differ.
    ``queries_by_get``: paths at which even reading is refused with a ``query``, since it could be an order.
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
    """The name in a ``Host`` header, without its port and brackets; '' if it is none."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
