"""One call from its arrival to its end: it is checked, counted against quotas, answered or hit by a fault, and recorded.

Here: the emulator's whole state and the order of things. Not here: HTTP routes (app.py).
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from dataclasses import replace
from pathlib import Path

from pydantic import JsonValue
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from emulators.dice import Dice, Repetitions
from emulators.gemini.answer import ReadRequest, answer, blocked_prompt, empty_answer, stopped_answer
from emulators.gemini.api import errors
from emulators.gemini.api.models import MODELS, Model
from emulators.gemini.api.rules import check
from emulators.gemini.api.schema import Schema, checked_schema
from emulators.gemini.api.wire import parse
from emulators.gemini.damaged import damaged, unanswered
from emulators.gemini.faults import SPELL, FaultName, Faults, Retirement, draw
from emulators.gemini.pictures import picture_answer, prompt_usage
from emulators.gemini.quotas import Quotas
from emulators.gemini.recordings import FOLDER, recorded_answer, recordings
from emulators.gemini.spoil import WRITTEN_ANEW
from emulators.gemini.stats import Counts, EmulatedCall
from emulators.gemini.usage import PrefixCache, Usage
from emulators.gemini.writing.scene import Scene, read_scene
from emulators.http_server import Connections

log = logging.getLogger(__name__)

_SLOW = 10.0
"""How many times as long a slow answer takes (``Faults.slow``)."""


class ClientGoneError(Exception):
    """The caller closed the connection before the answer."""


class Emulator:
    """The emulator's state and its one service.

    ``seed`` goes into every answer that is not a recorded one (of the folder ``recorded``); ``start`` are the faults a reset
    returns to; ``keep`` is how many request bodies are kept. Raises ``RecordingError`` for recordings that cannot be used.
    """

    def __init__(self, *, seed: int, start: Faults, keep: int, connections: Connections, recorded: Path = FOLDER) -> None:
        recordings(recorded)
        self._recordings = recorded
        self._seed = seed
        self._start = start
        self._keep = keep
        self._connections = connections
        self.reset()

    def reset(self) -> None:
        """Reset to the state after the start: faults, counts, quotas, cache and memory. Calls in flight end in the earlier
        counts."""
        self.faults = self._start
        self.counts = Counts(self._keep)
        self._quotas = Quotas()
        self._cache = PrefixCache()
        self._repetitions = Repetitions()
        self._complained: set[tuple[str, str]] = set()

    def model(self, name: str, version: str, key: str | None) -> Model:
        """The model of this name, for a caller with this key.

        Raises GoogleError: 403 and 400 for a missing or bad key, 404 for a retired or unknown model.
        """
        if not key:
            raise errors.no_key()
        if key.startswith("bad"):
            raise errors.bad_key()
        retirement = self.faults.retired.get(name)
        if retirement is not None and retirement.shape == "not_found":
            raise errors.retired_model(name)
        if name not in MODELS:
            raise errors.unknown_model(name, version)
        return MODELS[name]

    async def generate(self, http: Request, name: str, version: str) -> Response:
        """Serve one ``generateContent`` call."""
        counts = self.counts
        call = counts.begin(name)
        try:
            call.body = await http.body()
            return await self._served(http, call, self.model(name, version, http.headers.get("x-goog-api-key")))
        except errors.GoogleError as error:
            call.outcome = error.outcome
            return JSONResponse(error.body(), error.code, error.headers)
        except ClientGoneError:
            call.outcome = call.outcome or "client_gone"
            return Response(status_code=499)
        finally:
            call.outcome = call.outcome or "crashed"
            counts.finish(call)

    async def _served(self, http: Request, call: EmulatedCall, model: Model) -> Response:
        faults = self.faults
        retirement = faults.retired.get(model.name, Retirement(shape="price"))  # a caller does not see a bill
        if retirement.shape == "parameter":
            model = MODELS[retirement.successor]
        request = parse(call.body)
        check(request, model)
        if retirement.shape == "routed":
            model = replace(model, name=retirement.successor)
        if retirement.shape == "spell":
            faults = faults.model_copy(update=SPELL)
        schema = checked_schema(request.generation_config, model)
        if faults.max_in_flight is not None and self.counts.in_flight > faults.max_in_flight:
            raise errors.exhausted("ceiling")
        self._quotas.take(faults, model.name, time.monotonic())

        digest = hashlib.blake2b(f"{self._seed}:{model.name}:".encode() + call.body, digest_size=24).digest()
        dice = Dice(faults.seed, digest, self._repetitions.count(digest))
        fault = draw(faults, dice, call=call.sequence, body=call.body, of_picture=model.makes_pictures)
        tier = _tier(request.service_tier, faults, dice)
        _refuse_by_rate(fault, faults, model)
        if fault == "hang":
            call.outcome = "hang"
            await _wait(http, faults.hang_limit)
            raise errors.deadline_exceeded()
        slower = (faults.flex_slower if tier == "flex" else 1.0) * (_SLOW if dice.throw("slow") < faults.slow else 1.0)
        await _wait(http, slower * (faults.latency + faults.jitter * dice.throw("jitter")))
        _fail(fault)
        call.outcome = fault or "ok"
        if fault == "reset_connection":
            self._connections.reset(http.client)
            raise ClientGoneError
        if (response := unanswered(fault, dice.throw("damage"))) is not None:
            return response
        usage = prompt_usage(request) if model.makes_pictures else Usage(*self._cache.measure(model, request.prompt_text()))
        scene = read_scene(request)
        if faults.length_spread:
            scene = replace(scene, length_spread=faults.length_spread)
        recorded = None if fault in WRITTEN_ANEW or schema is None else self._recorded(scene, schema, call)
        asked = ReadRequest(request, scene, model, schema, digest, dice, replace(usage, tier=tier))
        body, call.usage = _said(asked, faults, fault, recorded)
        return damaged(fault, body, dice.throw("damage")) or JSONResponse(body, headers={"x-gemini-service-tier": tier})

    def _recorded(self, scene: Scene, schema: Schema, call: EmulatedCall) -> JsonValue:
        """The recorded answer for this request, or None. After a complaint it is given once more, and never again."""
        position, value, fitting = recorded_answer(scene, schema, self._recordings)
        if not position:
            return None
        if scene.asked.is_complaint:
            complained = (scene.code, position)
            if complained in self._complained:
                return None
            self._complained.add(complained)
        call.recorded = "recorded" if fitting else "unfit"
        if not fitting:
            log.warning("The recorded answer %s does not fit the schema of its request; another is written", position)
        return value if fitting else None


def _said(asked: ReadRequest, faults: Faults, fault: FaultName | None, recorded: JsonValue) -> tuple[dict[str, JsonValue], Usage]:
    match fault:
        case "empty_answer":
            return empty_answer(asked)
        case "prompt_blocked":
            return blocked_prompt(asked, faults.block_reasons)
        case "answer_blocked":
            return stopped_answer(asked, faults.finish_reasons, sticky=True)
        case "stopped":
            return stopped_answer(asked, faults.stop_reasons, sticky=False)
        case _ if asked.model.makes_pictures:
            return picture_answer(asked, fault)
        case _:
            return answer(asked, faults, fault, recorded)


def _tier(asked: str | None, faults: Faults, dice: Dice) -> str:
    """The tier that serves the call. Raises GoogleError for a call at flex that is shed."""
    if asked == "flex" and dice.throw("shed") < faults.flex_shed:
        raise errors.shed(limited=dice.throw("shed by a limit") < 0.5)
    if asked == "priority" and dice.throw("beyond priority") < faults.priority_served_as_standard:
        return "standard"
    return "standard" if asked in (None, "unspecified") else asked


def _refuse_by_rate(fault: FaultName | None, faults: Faults, model: Model) -> None:
    """Raise the 400, the 401 and the 429s at once, without the latency of an answer."""
    if fault == "unauthenticated":
        raise errors.unauthenticated()
    if fault == "invalid_argument":
        raise errors.bare_invalid_argument()
    if fault == "rate_limited_bare":
        raise errors.exhausted(fault)
    if fault == "no_credit":
        raise errors.no_credit()
    if fault in ("rate_limited", "rate_limited_header"):
        raise errors.quota_exceeded(
            quota_id="GenerateRequestsPerMinutePerProjectPerModel",
            limit=1000,
            model=model.name,
            retry_after=faults.retry_after,
            outcome=fault,
            header=fault == "rate_limited_header",
        )


def _fail(fault: FaultName | None) -> None:
    """The 5xx."""
    match fault:
        case "internal_error":
            raise errors.internal()
        case "unavailable":
            raise errors.unavailable()
        case "deadline_exceeded":
            raise errors.deadline_exceeded()


async def _wait(http: Request, seconds: float) -> None:
    """Wait, unless the caller closed the connection: the call must not be counted as in flight any longer.

    Raises ClientGoneError.
    """
    if seconds <= 0:
        return
    try:
        async with asyncio.timeout(seconds):
            while (await http.receive())["type"] != "http.disconnect":
                pass
    except TimeoutError:
        return
    raise ClientGoneError
