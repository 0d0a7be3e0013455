"""The HTTP routes: Google's two endpoints, and the control plane under ``/emulator``.

Not here: what happens to a call (service.py).
"""

from __future__ import annotations

from pydantic import TypeAdapter
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from emulators.gemini.api.errors import GoogleError
from emulators.gemini.faults import Faults
from emulators.gemini.service import Emulator
from emulators.gemini.stats import RecordedRequest
from emulators.http_server import as_json, fault_routes

_VERSIONS = frozenset({"v1", "v1beta", "v1alpha"})
_RECORDS = TypeAdapter(list[RecordedRequest])


def build_app(emulator: Emulator) -> Starlette:
    """The application around an emulator."""

    async def generate(http: Request) -> Response:
        version = http.path_params["version"]
        name, _, method = http.path_params["model"].partition(":")
        if version not in _VERSIONS or method != "generateContent":
            return Response(status_code=404)
        return await emulator.generate(http, name, version)

    async def model(http: Request) -> Response:
        version, name = http.path_params["version"], http.path_params["model"]
        try:
            return JSONResponse(emulator.model(name, version, http.headers.get("x-goog-api-key")).description())
        except GoogleError as error:
            return JSONResponse(error.body(), error.code, error.headers)

    async def stats(_: Request) -> Response:
        return as_json(emulator.counts.stats())

    async def reset(_: Request) -> Response:
        emulator.reset()
        return as_json(emulator.counts.stats())

    async def requests(http: Request) -> Response:
        limit = int(http.query_params.get("limit", "100"))
        found = emulator.counts.requests(limit, http.query_params.get("contains", ""))
        return Response(_RECORDS.dump_json(found), media_type="application/json")

    return Starlette(
        routes=[
            Route("/{version}/models/{model}", generate, methods=["POST"]),
            Route("/{version}/models/{model}", model, methods=["GET"]),
            Route("/emulator/stats", stats, methods=["GET"]),
            *fault_routes(emulator, Faults),
            Route("/emulator/reset", reset, methods=["POST"]),
            Route("/emulator/requests", requests, methods=["GET"]),
        ]
    )
