"""The faults with their rates and calls, as one model that can be changed while the emulator runs.

Here: which fault a call gets. Not here: the effect of a fault on the call (calls.py for gRPC, app.py for HTTP).
"""

from __future__ import annotations

from typing import Annotated, Literal

import grpc
from pydantic import BaseModel, ConfigDict, Field

from emulators.dice import Dice

Rate = Annotated[float, Field(ge=0, le=1)]

CodeName = Literal[
    "cancelled", "unknown", "invalid_argument", "deadline_exceeded", "not_found", "already_exists", "permission_denied",
    "resource_exhausted", "failed_precondition", "aborted", "out_of_range", "unimplemented", "internal", "unavailable", "data_loss",
    "unauthenticated",
]  # fmt: skip
"""The call is refused with this gRPC code before any work."""

CallFault = Literal["slow", "slow_committed", "slow_commits_late", "reset", "lost_reset", "lost_unavailable", "lost_internal"]
"""``slow``: the work waits for ``slow_seconds``, and is not done if the caller leaves. ``slow_committed``: the work is done, the
answer waits. ``slow_commits_late``: the work waits, and is done even if the caller has left. ``reset``: the TCP connection is reset
before the work, with every other call on it. ``lost_…``: the work is done, and this comes in place of the answer."""

UploadFault = Literal["url_expired", "put_403", "put_500", "put_reset", "put_lost_reset"]
"""``url_expired``: a presigned URL has expired when it is issued. ``put_…``: what the PUT answers; ``put_lost_reset`` keeps the
object first."""

ConsulFault = Literal["no_instance", "consul_500"]
"""``no_instance``: no instance passes its health check."""

FaultName = CodeName | CallFault | UploadFault | ConsulFault
CODES: dict[str, grpc.StatusCode] = {name: grpc.StatusCode[name.upper()] for name in CodeName.__args__}  # type: ignore[attr-defined]
CALL_FAULTS: tuple[str, ...] = (*CODES, *CallFault.__args__)  # type: ignore[attr-defined]
PUT_FAULTS = ("put_403", "put_500", "put_reset", "put_lost_reset")
CONSUL_FAULTS: tuple[str, ...] = ConsulFault.__args__  # type: ignore[attr-defined]


class PlatformFaults(BaseModel):
    """All faults; by default there are none."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    seed: int = Field(default=0, description="the same seed and requests meet the same faults")
    rates: dict[FaultName, Rate] = Field(default={}, description="by fault, the share of the calls that it can meet")
    methods: list[str] = Field(default=[], description="only calls of these gRPC methods meet faults; [] = all")
    for_calls: int | None = Field(default=None, ge=0, description="only so many gRPC calls since the reset meet faults; None = all")
    slow_seconds: float = Field(default=30.0, ge=0, description="seconds that a slow call takes")
    latency: float = Field(default=0.0, ge=0, description="seconds until an answer; the work is done at a drawn moment of them")
    url_seconds: float = Field(default=600.0, gt=0, description="seconds for which a presigned URL for an upload is good")


def draw(faults: PlatformFaults, names: tuple[str, ...], dice: Dice) -> str | None:
    """The first of these faults that is drawn, or None."""
    return next((name for name, rate in faults.rates.items() if name in names and dice.throw(name) < rate), None)
