"""What the code server does beside Dagster's own: it starts runs warm, and its lines (the sensors') have our form and level.

Warm starts: runs begin in a process which has already imported everything (1.3 s sooner, a third of the memory).

Dagster's code server starts every run by ``spawn``, hard-coded. Here the server is given a ``forkserver`` context instead,
preloaded with the definitions, and that is imported when the server begins to serve, so that the first run finds it ready. If
Dagster changes the places this hooks into, runs are cold again, and nothing else happens.
"""

from __future__ import annotations

import logging
import multiprocessing
import sys
from multiprocessing import forkserver

from dagster._grpc.server import DagsterApiServer, DagsterGrpcServer

from generia_assets.log_lines import levelled_lines
from generia_assets.settings import settings

logger = logging.getLogger(__name__)

PRELOADED = ["generia_assets.definitions", "google.genai", "resources.gemini", "dagster._grpc.impl"]
"""What a run needs: imported once. None of it starts a thread or opens a connection when imported."""


def install_warm_start() -> None:
    """Let code servers of this process start runs by ``forkserver``. ``GENERIA_COLD_START=1`` leaves Dagster as it is."""
    if settings().generia_cold_start or not sys.platform.startswith("linux"):
        return
    start_run = getattr(DagsterApiServer, "StartRun", None)
    serve = getattr(DagsterGrpcServer, "serve", None)
    if start_run is None or serve is None:
        logger.warning("Dagster starts runs in another way now; they start cold")
        return
    if getattr(start_run, "warm", False):
        return

    def warm_start_run(self: DagsterApiServer, request: object, context: object) -> object:
        if self._mp_ctx.get_start_method() == "spawn":
            self._mp_ctx = multiprocessing.get_context("forkserver")  # type: ignore[assignment]  # of the same interface
        return start_run(self, request, context)

    def warm_serve(self: DagsterGrpcServer) -> object:
        forkserver.ensure_running()  # returns at once; the imports go on in the new process
        return serve(self)

    warm_start_run.warm = True  # type: ignore[attr-defined]  # marks the hook, so that it is installed once
    forkserver.set_forkserver_preload(PRELOADED)
    DagsterApiServer.StartRun = warm_start_run  # type: ignore[method-assign,assignment]
    DagsterGrpcServer.serve = warm_serve  # type: ignore[method-assign]


def install_lines() -> None:
    """Let code servers of this process log by LOG_LEVEL for as long as they serve (log_lines.py)."""
    serve = getattr(DagsterGrpcServer, "serve", None)
    if serve is None or getattr(serve, "levelled", False):
        return

    def levelled_serve(self: DagsterGrpcServer) -> object:
        with levelled_lines():
            return serve(self)

    levelled_serve.levelled = True  # type: ignore[attr-defined]  # marks the hook, so that it is installed once
    DagsterGrpcServer.serve = levelled_serve  # type: ignore[method-assign]
