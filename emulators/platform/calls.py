"""One gRPC call in the server: it is counted, hit by a fault or executed, and answered or refused with a code.

Here: the effect of a fault on a call, and the server. Not here: the work (services.py), the choice of the fault (faults.py).
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from emulators.dice import Dice, Repetitions
from emulators.lifecycle import LOOPBACK
from emulators.platform.database import RefusalError
from emulators.platform.faults import CALL_FAULTS, CODES, PlatformFaults, draw
from emulators.platform.media import MediaService
from emulators.platform.objects import ObjectStore
from emulators.platform.proxy import Proxy
from emulators.platform.services import CharacterService, PostService, WorldService
from emulators.platform.state import PlatformState, ServedCall
from emulators.platform.stats import PlatformCounts
from resources.platform.proto import character_pb2, media_pb2, post_pb2, world_pb2

SERVICES = (
    (CharacterService, character_pb2.DESCRIPTOR.services_by_name["CharacterService"]),
    (MediaService, media_pb2.DESCRIPTOR.services_by_name["MediaService"]),
    (PostService, post_pb2.DESCRIPTOR.services_by_name["PostService"]),
    (WorldService, world_pb2.DESCRIPTOR.services_by_name["WorldService"]),
)
_GRACE_SECONDS = 0.5
_EXPIRED_SECONDS = -1.0

Work = Callable[[Any, ServedCall], Message]


class PlatformEmulator:
    """The emulator's whole state. ``start`` are the faults, ``worlds`` the worlds that a reset returns to."""

    def __init__(
        self, objects: Callable[[], ObjectStore], proxy: Proxy, *, start: PlatformFaults, worlds: list[str], any_world: bool
    ) -> None:
        self._objects = objects
        self._proxy = proxy
        self._start = start
        self._worlds = worlds
        self._any_world = any_world
        self._late: set[asyncio.Task[Message]] = set()
        self.state = self._fresh_state()
        self.reset()

    def _fresh_state(self) -> PlatformState:
        return PlatformState(self._objects(), self._worlds, any_world=self._any_world)

    def reset(self) -> None:
        """Reset to the state after the start."""
        self.state.objects.close()
        self.state = self._fresh_state()
        self.faults = self._start
        self.counts = PlatformCounts()
        self._repetitions = Repetitions()

    def dice(self, name: str, request: bytes) -> Dice:
        """The dice of a call with this name."""
        digest = hashlib.blake2b(f"{name}:".encode() + request, digest_size=24).digest()
        return Dice(self.faults.seed, digest, self._repetitions.count(digest))

    async def serve(self, name: str, work: Work, request: Message, context: grpc.aio.ServicerContext) -> Message:
        """Serve one call of a service's method."""
        counts = self.counts
        counts.calls[name] += 1
        counts.traceparents[dict(context.invocation_metadata() or ()).get("traceparent", "")] += 1
        counts.in_flight += 1
        dice = self.dice(name, request.SerializeToString(deterministic=True))
        names = (*CALL_FAULTS, "url_expired") if name == "GetPresignedUploadURL" else CALL_FAULTS
        fault = None if self._spared(name) else draw(self.faults, names, dice)
        outcome = fault or "cancelled by the caller"
        try:
            answer = await self._served(fault, dice, work, request, context)
        except RefusalError as error:
            outcome = fault or error.code.name
            await context.abort(error.code, str(error))
            raise
        else:
            outcome = fault or "ok"
            return answer
        finally:
            counts.in_flight -= 1
            counts.outcomes[outcome] += 1

    async def _served(
        self, fault: str | None, dice: Dice, work: Work, request: Message, context: grpc.aio.ServicerContext
    ) -> Message:
        """The answer, or the fault in its place. Raises ``RefusalError``."""
        faults = self.faults
        call = ServedCall(dice, _EXPIRED_SECONDS if fault == "url_expired" else faults.url_seconds)
        if fault in CODES:
            raise _refusal(fault, fault)
        before = faults.latency * dice.throw("latency")
        await asyncio.sleep(before)
        if fault == "reset":
            self._proxy.reset(context.peer())
            raise _refusal(fault)
        if fault == "slow":
            await asyncio.sleep(faults.slow_seconds)
        if fault == "slow_commits_late":
            late = asyncio.create_task(_later(faults.slow_seconds, lambda: work(request, call)))
            self._late.add(late)
            late.add_done_callback(self._late.discard)
            return await asyncio.shield(late)
        answer = work(request, call)
        if fault == "slow_committed":
            await asyncio.sleep(faults.slow_seconds)
        if fault == "lost_reset":
            self._proxy.reset(context.peer())
        if fault is not None and fault.startswith("lost_"):
            raise _refusal(fault, fault.removeprefix("lost_"))
        await asyncio.sleep(faults.latency - before)
        return answer

    def _spared(self, name: str) -> bool:
        faults = self.faults
        served = sum(self.counts.calls[one] for one in METHODS)
        return bool(faults.methods and name not in faults.methods) or (faults.for_calls is not None and served > faults.for_calls)

    async def start_server(self) -> tuple[grpc.aio.Server, int]:
        """The gRPC server on a free port of the loopback interface, behind the proxy."""
        server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        checks = health.aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(checks, server)
        await checks.set("", health_pb2.HealthCheckResponse.SERVING)
        for service, described in SERVICES:
            methods = {method.name: self._handler(service, method) for method in described.methods}
            server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(described.full_name, methods),))
            await checks.set(described.full_name, health_pb2.HealthCheckResponse.SERVING)
        port: int = server.add_insecure_port(f"{LOOPBACK}:0")
        await server.start()
        return server, port

    def _handler(self, service: type[Any], method: MethodDescriptor) -> grpc.RpcMethodHandler:
        """Serves a method with the emulator's state at the time of the call."""

        async def served(request: Message, context: grpc.aio.ServicerContext) -> Message:
            return await self.serve(method.name, getattr(service(self.state), method.name), request, context)

        return grpc.unary_unary_rpc_method_handler(
            served,
            request_deserializer=GetMessageClass(method.input_type).FromString,
            response_serializer=GetMessageClass(method.output_type).SerializeToString,
        )

    async def stop_server(self, server: grpc.aio.Server) -> None:
        """Stop the server, and delete its stored objects."""
        for late in self._late:
            late.cancel()
        await server.stop(_GRACE_SECONDS)
        self.state.objects.close()


METHODS = [method.name for _, described in SERVICES for method in described.methods]


def _refusal(fault: str, code: str = "unavailable") -> RefusalError:
    """After a reset nobody receives it."""
    return RefusalError(CODES.get(code, grpc.StatusCode.UNAVAILABLE), f"a fault of the emulator: {fault}")


async def _later(seconds: float, work: Callable[[], Message]) -> Message:
    await asyncio.sleep(seconds)
    return work()
