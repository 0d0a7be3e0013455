"""``python -m generia_assets.warm_start …``: Dagster's code server (``dagster api grpc``) with its options, which does more.

It starts runs warm, says when a start does not return, and logs in our form.

Warm starts: runs begin in a process which has already imported everything (1.3 s sooner, a third of the memory). Dagster's code
server starts every run by ``spawn``, hard-coded. Here the server is given a ``forkserver`` context instead, preloaded with the
definitions, and that is imported when the server begins to serve, so that the first run finds it ready.

A start that does not return (the new process is frozen before it answers, the forkserver hangs) blocks a thread of the server. The
server then says in gRPC's health protocol that it does not serve, and is replaced (code_server.py).

*Reload definitions* on Dagster's pages does nothing in such a server by itself. Here the server ends once it executes no run, and
its parent (code_server.py, `generia dev`) starts another, which reads code, prompts and data again; unless those have mistakes.

Nothing is installed by importing this or the definitions: another code server (a plain `dagster dev`) is Dagster's own.

"""

from __future__ import annotations

import logging
import multiprocessing
import os
import runpy
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import forkserver
from typing import TYPE_CHECKING

import grpc
from grpc_health.v1 import health, health_pb2

from generia_assets.code_server import SERVICE
from generia_assets.content.check import require_good_content
from generia_assets.content.yaml_files import ContentError
from generia_assets.dagster_internals import PRELOADED, code_server_classes
from generia_assets.logging_setup import levelled_lines
from generia_assets.settings import settings
from resources.settings import spare_loopback

if TYPE_CHECKING:
    from generia_assets.dagster_internals import DagsterApiServer, DagsterGrpcServer

logger = logging.getLogger(__name__)

NEEDED_BY_RUNS = ["generia_assets.definitions", "google.genai", "resources.gemini.client", "emulators.image_stub", PRELOADED]
"""Imported once. None of it starts a thread or opens a connection when imported."""
LOOK_SECONDS = 1.0


class Starts:
    """The starts of runs that have not returned yet."""

    def __init__(self) -> None:
        self._began: dict[int, float] = {}  # by thread

    @contextmanager
    def one(self) -> Iterator[None]:
        """A start, for as long as it takes."""
        self._began[threading.get_ident()] = time.monotonic()
        try:
            yield
        finally:
            self._began.pop(threading.get_ident(), None)

    def overdue(self, seconds: float) -> bool:
        """Whether one of them has taken longer than this."""
        return any(time.monotonic() - began > seconds for began in list(self._began.values()))


def extend_code_server() -> None:
    """Let code servers of this process do all of that. ``GENERIA_COLD_START=1`` leaves it to Dagster how a run is started."""
    api, server, reload_reply = code_server_classes()
    start_run, serve = api.StartRun, server.serve
    warm = sys.platform.startswith("linux") and not settings().generia_cold_start
    starts = Starts()

    def extended_start_run(self: DagsterApiServer, request: object, context: object) -> object:
        if warm and self._mp_ctx.get_start_method() == "spawn":
            self._mp_ctx = multiprocessing.get_context("forkserver")  # type: ignore[assignment]  # of the same interface
        with starts.one():
            return start_run(self, request, context)  # type: ignore[arg-type]  # as it came

    def extended_serve(self: DagsterGrpcServer) -> object:
        if warm:
            forkserver.ensure_running()  # returns at once; the imports go on in the new process
        watch = threading.Thread(target=_tell_overdue, args=(starts, self._health_servicer), name="overdue-starts", daemon=True)
        watch.start()
        with levelled_lines():
            return serve(self)  # type: ignore[no-untyped-call]  # Dagster's own

    def extended_reload(self: DagsterApiServer, request: object, context: grpc.ServicerContext) -> object:
        try:
            require_good_content()
        except ContentError as error:  # another server would not begin with it
            logger.error("nothing is read anew: %s", error)  # noqa: TRY400  the message says it all
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))
        threading.Thread(target=_end_when_idle, args=(self,), name="reload", daemon=True).start()
        return reload_reply()

    forkserver.set_forkserver_preload(NEEDED_BY_RUNS)
    api.StartRun = extended_start_run  # type: ignore[method-assign,assignment]
    api.ReloadCode = extended_reload  # type: ignore[method-assign,assignment]
    server.serve = extended_serve  # type: ignore[method-assign]


def _end_when_idle(server: DagsterApiServer) -> None:
    logger.info("definitions are read anew by another code server, as soon as no run is at work in this one")
    time.sleep(LOOK_SECONDS)  # the answer to the one who asked goes out first
    while server._executions:
        time.sleep(LOOK_SECONDS)
    os._exit(0)


def _tell_overdue(starts: Starts, servicer: health.HealthServicer) -> None:
    reported = False
    while True:
        time.sleep(LOOK_SECONDS)
        if (overdue := starts.overdue(settings().code_server_stuck_seconds)) is not reported:
            reported = overdue
            state = health_pb2.HealthCheckResponse.NOT_SERVING if overdue else health_pb2.HealthCheckResponse.SERVING
            servicer.set(SERVICE, state)
            logger.warning("a start of a run does not return" if overdue else "all starts of runs have returned")


def main() -> None:
    """Be Dagster's code server."""
    spare_loopback()
    extend_code_server()
    sys.argv = ["dagster", "api", "grpc", *sys.argv[1:]]
    runpy.run_module("dagster", run_name="__main__")


if __name__ == "__main__":
    main()
