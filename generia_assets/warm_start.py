"""``python -m generia_assets.warm_start …``: Dagster's code server (``dagster api grpc``, with its options), extended.

It starts runs warm, reports a start that does not return, and logs in our format.

Warm starts: runs begin in a process that has already imported everything (1.3 s sooner, a third of the memory). Dagster's code
server starts every run by ``spawn``, hard-coded. This server uses a ``forkserver`` context instead. The forkserver is a copy of
this process, made when the definitions are imported and no thread has started: they are imported once, and both share the memory.
If it ends, Python starts another, which imports everything itself.

A start that does not return (the new process is frozen before it answers, the forkserver hangs) blocks a thread of the server. The
server then reports NOT_SERVING in gRPC's health protocol, and is replaced (code_server.py).

*Reload definitions* in Dagster's UI does nothing in a plain code server with preloaded modules. This server ends once it executes
no run, and its parent (code_server.py, `generia dev`) starts another, which reads code, prompts and data again; if those have
mistakes the server stays.

Importing this module or the definitions changes nothing: a plain `dagster dev` has Dagster's own code server.
"""

from __future__ import annotations

import gc
import logging
import multiprocessing
import os
import runpy
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from multiprocessing import forkserver, resource_tracker
from multiprocessing.util import get_temp_dir
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
from grpc_health.v1 import health, health_pb2

from generia_assets.code_server import SERVICE
from generia_assets.content.check import require_good_content
from generia_assets.content.yaml_files import ContentError
from generia_assets.dagster_internals import PRELOADED, code_server_classes
from generia_assets.logging_setup import levelled_lines
from generia_assets.settings import settings
from resources import tracing
from resources.settings import spare_loopback

if TYPE_CHECKING:
    from generia_assets.dagster_internals import DagsterApiServer, DagsterGrpcServer

logger = logging.getLogger(__name__)

DEFINITIONS = "generia_assets.definitions"
NEEDED_BY_RUNS = [
    DEFINITIONS,
    "generia_assets.dagster_logs",
    "generia_assets.dagster_storage",
    "google.genai",
    "resources.gemini.client",
    "resources.gemini.sdk_types",
    "resources.kafka.network",
    "resources.kafka.tokens",
    "emulators.image_stub",
    *(f"PIL.{name}ImagePlugin" for name in ("Bmp", "Gif", "Jpeg", "Png", "Ppm")),
    "anyio._backends._asyncio",
    "grpc_health.v1.health",
    "httpcore2",
    "multiprocessing.queues",
    "multiprocessing.synchronize",
    "truststore",
    "uvloop",
    *(["resources.span_export"] if tracing.is_on() else []),
    *PRELOADED,
    "generia_assets.shared_memory",
]
"""Modules that the forkserver imports once. None of them starts a thread or opens a connection when imported."""
LOOK_SECONDS = 1.0


class Starts:
    """The starts of runs that have not returned yet."""

    def __init__(self) -> None:
        self._began: dict[int, float] = {}  # by thread

    @contextmanager
    def one(self) -> Iterator[None]:
        """Count a start as not returned for as long as this block lasts."""
        self._began[threading.get_ident()] = time.monotonic()
        try:
            yield
        finally:
            self._began.pop(threading.get_ident(), None)

    def overdue(self, seconds: float) -> bool:
        return any(time.monotonic() - began > seconds for began in list(self._began.values()))


def is_warm() -> bool:
    """Whether runs start warm in code servers of this machine."""
    return sys.platform.startswith("linux") and not settings().generia_cold_start


def fork_forkserver() -> None:
    """Import the definitions, and make the forkserver a copy of this process, which must have one thread only.

    ``multiprocessing`` knows no such way, so this does what its ``ensure_running`` does, without a new interpreter. If the
    definitions have mistakes nothing is forked: Dagster imports them again and reports what is wrong.
    """
    try:
        import_module(DEFINITIONS)
    except Exception:  # noqa: BLE001  whatever it is, Dagster meets it, too
        return
    gc.freeze()  # or the forkserver's collection copies what it shares
    resource_tracker.ensure_running()
    address = str(Path(get_temp_dir(), "forkserver"))  # a folder that only this user may enter
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        alive, owner = os.pipe()  # the forkserver ends when nobody has the second one any more
        if (pid := os.fork()) == 0:
            os.close(owner)
            forkserver.main(listener.detach(), alive, NEEDED_BY_RUNS)  # the rest of them
    os.close(alive)
    vars(forkserver._forkserver).update(_forkserver_address=address, _forkserver_alive_fd=owner, _forkserver_pid=pid)


def extend_code_server() -> None:
    """Extend the code servers of this process. With ``GENERIA_COLD_START=1`` runs are started as Dagster starts them."""
    api, server, reload_reply = code_server_classes()
    start_run, serve = api.StartRun, server.serve
    warm, starts = is_warm(), Starts()

    def extended_start_run(self: DagsterApiServer, request: object, context: object) -> object:
        if warm and self._mp_ctx.get_start_method() == "spawn":
            self._mp_ctx = multiprocessing.get_context("forkserver")  # type: ignore[assignment]  # of the same interface
        with starts.one():
            return start_run(self, request, context)  # type: ignore[arg-type]  # as it came

    def extended_serve(self: DagsterGrpcServer) -> object:
        watch = threading.Thread(target=_report_overdue, args=(starts, self._health_servicer), name="overdue-starts", daemon=True)
        watch.start()
        with levelled_lines():
            return serve(self)  # type: ignore[no-untyped-call]  # Dagster's own

    def extended_reload(self: DagsterApiServer, request: object, context: grpc.ServicerContext) -> object:
        try:
            require_good_content()
        except ContentError as error:  # a new server could not load them
            logger.error("nothing is reloaded: %s", error)  # noqa: TRY400  the message says it all
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))
        threading.Thread(target=_end_when_idle, args=(self,), name="reload", daemon=True).start()
        return reload_reply()

    forkserver.set_forkserver_preload(NEEDED_BY_RUNS)
    api.StartRun = extended_start_run  # type: ignore[method-assign,assignment]
    api.ReloadCode = extended_reload  # type: ignore[method-assign,assignment]
    server.serve = extended_serve  # type: ignore[method-assign]


def _end_when_idle(server: DagsterApiServer) -> None:
    logger.info("another code server will read the definitions again, as soon as this one executes no run")
    time.sleep(LOOK_SECONDS)  # the reply to the request is sent first
    while server._executions:
        time.sleep(LOOK_SECONDS)
    os._exit(0)


def _report_overdue(starts: Starts, servicer: health.HealthServicer) -> None:
    reported = False
    while True:
        time.sleep(LOOK_SECONDS)
        if (overdue := starts.overdue(settings().code_server_stuck_seconds)) is not reported:
            reported = overdue
            state = health_pb2.HealthCheckResponse.NOT_SERVING if overdue else health_pb2.HealthCheckResponse.SERVING
            servicer.set(SERVICE, state)
            logger.warning("a start of a run does not return" if overdue else "all starts of runs have returned")


def main() -> None:
    spare_loopback()
    extend_code_server()
    if is_warm():
        fork_forkserver()
    sys.argv = ["dagster", "api", "grpc", *sys.argv[1:]]
    runpy.run_module("dagster", run_name="__main__")


if __name__ == "__main__":
    main()
