"""The HTTP routes: the object store, Consul, the worlds that the platform has, and the control plane under ``/emulator``.

Not here: the gRPC services (services.py, calls.py).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from emulators.http_server import Connections, as_json, fault_routes
from emulators.platform.calls import PlatformEmulator
from emulators.platform.database import DatabaseError
from emulators.platform.faults import CONSUL_FAULTS, PUT_FAULTS, PlatformFaults, draw
from emulators.platform.objects import BUCKET, ObjectError, ObjectStore
from emulators.platform.proxy import Proxy
from emulators.platform.stats import world_report

CONSUL_NAMES = ("character-service", "media-service", "post-service", "world-service")


class AddedWorld(BaseModel):
    """The body of ``POST /worlds``."""

    model_config = ConfigDict(extra="forbid")

    id: str


def build_app(emulator: PlatformEmulator, connections: Connections, proxy: Proxy, grpc_address: tuple[str, int]) -> Starlette:
    """The application around an emulator. Its lifespan is that of the gRPC server."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        server, port = await emulator.start_server()
        async with await proxy.start(port):
            yield
            await emulator.stop_server(server)

    async def put_object(http: Request) -> Response:
        name = http.path_params["name"]
        emulator.counts.calls["PUT"] += 1
        fault = draw(emulator.faults, PUT_FAULTS, emulator.dice("PUT", name.encode()))
        if fault != "put_reset":
            try:
                await _put(http, emulator.state.objects, name, fault)
            except ObjectError as error:
                return _refused(error, fault)
        emulator.counts.outcomes[fault or "PUT ok"] += 1
        if fault is not None:
            connections.reset(http.client)
        return Response(status_code=200)

    def _refused(error: ObjectError, fault: str | None = None) -> Response:
        emulator.counts.outcomes[fault or f"HTTP {error.status}"] += 1
        return Response(error.body(), error.status, media_type="application/xml")

    async def get_object(http: Request) -> Response:
        name = http.path_params["name"]
        emulator.counts.calls["GET"] += 1
        try:
            emulator.state.objects.check("GET", name, http.query_params)
            data, content_type = emulator.state.objects.get(name)
        except ObjectError as error:
            return _refused(error)
        emulator.counts.outcomes["GET ok"] += 1
        return Response(data, media_type=content_type)

    async def consul(http: Request) -> Response:
        name, passing = http.path_params["name"], "passing" in http.query_params
        emulator.counts.calls["consul"] += 1
        fault = draw(emulator.faults, CONSUL_FAULTS, emulator.dice("consul", name.encode()))
        emulator.counts.outcomes[fault or "consul ok"] += 1
        if fault == "consul_500":
            return Response("No cluster leader", 500, media_type="text/plain")
        if name not in CONSUL_NAMES or (passing and fault == "no_instance"):
            return JSONResponse([])
        return JSONResponse([_instance(name, *grpc_address, "critical" if fault else "passing")])

    async def add_world(http: Request) -> Response:
        try:
            return as_json(emulator.state.add_world(AddedWorld.model_validate_json(await http.body()).id))
        except ValidationError as error:
            return Response(error.json(include_url=False), 422, media_type="application/json")
        except DatabaseError as error:
            return JSONResponse([{"msg": str(error)}], 422)

    async def show_world(http: Request) -> Response:
        try:
            return as_json(world_report(emulator.state.database, http.path_params["world_id"]))
        except KeyError:
            return JSONResponse([{"msg": "the platform has no such world"}], 404)

    async def stats(_: Request) -> Response:
        return as_json(emulator.counts.stats(emulator.state.database))

    async def reset(_: Request) -> Response:
        emulator.reset()
        return as_json(emulator.counts.stats(emulator.state.database))

    return Starlette(
        lifespan=lifespan,
        routes=[
            Route(f"/{BUCKET}/{{name:path}}", put_object, methods=["PUT"]),
            Route(f"/{BUCKET}/{{name:path}}", get_object, methods=["GET"]),
            Route("/v1/health/service/{name}", consul, methods=["GET"]),
            Route("/worlds", add_world, methods=["POST"]),
            Route("/emulator/worlds/{world_id}", show_world, methods=["GET"]),
            Route("/emulator/stats", stats, methods=["GET"]),
            *fault_routes(emulator, PlatformFaults),
            Route("/emulator/reset", reset, methods=["POST"]),
        ],
    )


async def _put(http: Request, objects: ObjectStore, name: str, fault: str | None) -> None:
    length, content_type = http.headers.get("content-length"), http.headers.get("content-type", "")
    if length is None:
        raise ObjectError(411, "MissingContentLength", "You must provide the Content-Length HTTP header.")
    objects.check("PUT", name, http.query_params, f"{content_type}|{length}")
    if fault == "put_403":
        raise ObjectError(403, "AccessDenied", "a fault of the emulator: put_403")
    if fault == "put_500":
        raise ObjectError(500, "InternalError", "We encountered an internal error. Please try again.")
    objects.put(name, content_type, await http.body())


def _instance(name: str, host: str, port: int, status: str) -> dict[str, object]:
    """An entry of Consul's answer, in the fields that a caller reads."""
    return {
        "Node": {"Node": "emulator", "Address": host},
        "Service": {"ID": f"{name}-1", "Service": name, "Address": host, "Port": port},
        "Checks": [{"CheckID": f"service:{name}-1", "ServiceName": name, "Status": status}],
    }
