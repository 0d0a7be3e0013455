"""The answers of the worlds' pages: their headers, files from a folder, and errors as pages.

Here: what every answer has in common. Not here: the pages of worlds (app.py, render.py).
"""

from __future__ import annotations

import logging
from pathlib import Path

from pymongo.errors import PyMongoError
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from generia_assets.pages import render
from generia_assets.pages.links import ServedLinks
from resources.mongodb.stored import UnreadableRecordError
from resources.pictures import EXTENSIONS

logger = logging.getLogger(__name__)

STATIC_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
PICTURE_TYPES = {f".{extension}": mime for mime, extension in EXTENSIONS.items()}

HEADERS = {
    # Pictures may come from the real platform's servers, everything else from this one; pages contain no inline script or style.
    "content-security-policy": "default-src 'none'; img-src 'self' https: http:; style-src 'self'; script-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


def _with_headers(app: ASGIApp) -> ASGIApp:
    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        await app(scope, receive, send_with_headers if scope["type"] == "http" else send)

    return answer


def file(root: Path, name: str, types: dict[str, str]) -> Response:
    """A file below the folder, if it is of a known type. A symbolic link that leads elsewhere is not followed."""
    folder = root.resolve()
    path = (folder / name).resolve() if "\0" not in name else folder
    if not path.is_relative_to(folder) or path.suffix not in types or not path.is_file():
        raise HTTPException(404, "This file is not here.")
    return FileResponse(path, media_type=types[path.suffix], headers={"cache-control": "max-age=3600"})


_ADVICE = {
    404: "Look at the list of all worlds, or ask `generia list` for their ids.",
    400: "Begin anew with the list of all worlds.",
}


def _http_problem(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    title = str(error.detail) if isinstance(error, HTTPException) and status in _ADVICE else "This cannot be done"
    return _problem(status, title, _ADVICE.get(status, "Pages can be read, nothing else."))


def _outage(request: Request, error: Exception) -> Response:
    name = type(error).__name__
    logger.warning("page %s: MongoDB does not answer (%s)", request.url.path, name)
    if isinstance(error, PyMongoError) and error.timeout:
        return _problem(503, "This takes too long", "Ask for less, such as the posts of one person, or try again later.")
    advice = f"The pages are here again when it is ({name}). `generia doctor` says what is reachable."
    return _problem(503, "MongoDB does not answer", advice)


def _unreadable(request: Request, error: Exception) -> Response:
    logger.warning("page %s: %s", request.url.path, error)
    return _problem(404, "This world cannot be read", str(error))


def _problem(status: int, title: str, advice: str) -> Response:
    return html(render.problem(ServedLinks(""), status=status, title=title, advice=advice), status)


def html(body: str, status: int = 200) -> Response:
    """A page. No browser keeps it, since a world may have grown meanwhile."""
    return HTMLResponse(body, status, headers={"cache-control": "no-store"})


HEADERS_OF_ALL = Middleware(_with_headers)
"""Adds ``HEADERS`` to every answer."""
ERRORS = {HTTPException: _http_problem, PyMongoError: _outage, UnreadableRecordError: _unreadable}
"""The page for each exception that a route may raise."""
