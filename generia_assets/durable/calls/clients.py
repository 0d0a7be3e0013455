"""A task's language model and image API, each call of them a checkpoint and made through the gateway.

Here: asking again after an answer that cannot be used, and asking another way when a model turned out to be gone or changed. Not
here: what is wrong with an answer (resources/gemini/answers.py).
"""

import hashlib
import logging
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from pydantic import BaseModel

from generia_assets.content.documents import Media
from generia_assets.content.pictures import Shown, with_references
from generia_assets.content.prompt import Prompt, schema_of
from generia_assets.durable.calls.pictures import PendingPicture, PendingPictures, ReferencePictures
from generia_assets.durable.calls.platform_client import TaskPlatformClient
from generia_assets.durable.calls.task_calls import TaskCalls
from generia_assets.tasks.clients import DraftT, ImageRequest
from resources.gateway.calls import CONTROL, GEMINI_PROVIDER, Answer, Api, Call
from resources.gateway.outcomes import CallError, FatalCallError, InvalidAnswerError, ModelMissingError, ParameterRefusedError
from resources.gemini.answers import AnswerT
from resources.gemini.client import TextRequest
from resources.gemini.model_resolver import ModelReplacedError
from resources.gemini.models import ModelProfile, Price
from resources.gemini.tiers import CallTier
from resources.images import CheckedImage, checked, provider_and_model, takes_references, wrong_with
from resources.mongodb.connection import retry_on_outage
from resources.pictures import PictureError

logger = logging.getLogger(__name__)

MOST_OUTPUT = 4
"""A cut answer is asked again with twice the output tokens, up to so many times what its task was given: a task is given more than
it usually needs, and what does not end within four times that does not end."""


class _Word(BaseModel):
    """The answer to a control: whatever its content, the model has answered."""

    word: str


CONTROL_REQUEST = TextRequest("You answer in one word.", ("What is the colour of grass?",), schema_of(_Word), _Word, 256)
MOST_REPAINTS = 2
"""Times a picture that cannot be shown is asked for again before a milder prompt is tried: each of them may be paid for."""
CONTROL_PICTURE = "A plain grey wall in daylight"
"""What a control of the image API asks for: nobody refuses it."""


class TaskTextClient:
    """See ``tasks.clients.TextClient``."""

    def __init__(self, calls: TaskCalls) -> None:
        self._calls = calls
        self._providers = calls.providers

    async def write(self, prompt: Prompt, draft: type[DraftT], *, once: bool = False) -> DraftT:
        """Ask for a draft. An invalid answer is asked again: with the error; with more output tokens if it was cut; if it was
        invalid by chance as before."""
        most = MOST_OUTPUT * prompt.max_output_tokens
        reasks = 0 if once else self._providers.max_reasks
        while True:
            try:
                return await self._calls.checkpoints.run(
                    partial(self._ask, prompt, draft), dump=lambda value: value.model_dump_json(), load=draft.model_validate_json
                )
            except InvalidAnswerError as error:
                if reasks == 0 or (error.cut and prompt.max_output_tokens >= most):
                    raise
                reasks -= 1
                logger.info("%s: asked again: %s", prompt.request_type, error)
                if error.cut:
                    prompt = prompt.with_more_output(ceiling=most)
                elif not error.chance:
                    prompt = prompt.with_complaints(str(error))
            finally:  # when the answer is a checkpoint: whatever happens here loses none
                await retry_on_outage(self._providers.models.write_down, timeout_seconds=self._providers.outage_timeout)

    async def _ask(self, prompt: Prompt, draft: type[DraftT]) -> DraftT:
        models, outage_timeout = self._providers.models, self._providers.outage_timeout
        while True:
            profile = await retry_on_outage(models.current, timeout_seconds=outage_timeout)
            max_output_tokens = min(prompt.max_output_tokens, profile.max_output_tokens)
            tier = profile.tier(self._calls.task.tier)
            request = TextRequest(prompt.system, prompt.parts, prompt.schema, draft, max_output_tokens, tier)
            try:
                return await self._providers.gateway.call(self._call(prompt.request_type, request, profile), self._calls.ledger)
            except (ModelMissingError, ParameterRefusedError, ModelReplacedError) as error:
                if not isinstance(error, ModelReplacedError) and await models.current() == profile:
                    raise FatalCallError(
                        f"model {profile.id} cannot be asked, and is what takes over from its successor: set GEMINI_MODEL to a "
                        f"model that exists ({error})"
                    ) from error
                logger.info("%s: asked again: %s", prompt.request_type, error)

    def _call(
        self, request_type: str, request: TextRequest[AnswerT], profile: ModelProfile, price: Price | None = None
    ) -> Call[AnswerT]:
        models = self._providers.models
        price = price or models.worst_price(profile, request.tier)

        async def send() -> Answer[AnswerT]:
            answer = await self._providers.gemini.ask(request, profile)
            if version := answer.data.get("model"):
                models.answered(profile, str(version))
            return answer

        data = {
            "model": profile.id,
            "system": request.system,
            "parts": list(request.parts),
            "schema": request.schema_json,
            "max_output_tokens": request.max_output_tokens,
        }

        def control() -> Call[object]:
            return self._call(CONTROL, replace(CONTROL_REQUEST, tier=request.tier), profile, price)

        is_flex = request.tier is CallTier.FLEX
        return self._calls.new(
            Api.LLM,
            request_type,
            data,
            send,
            worst_case_usd=price.worst_case_usd(prompt_bytes=request.prompt_bytes, max_output_tokens=request.max_output_tokens),
            attempt=partial(models.attempt, profile),
            control=control,
            tier=request.tier,
            fallback=self._call(request_type, replace(request, tier=CallTier.STANDARD), profile) if is_flex else None,
            provider=GEMINI_PROVIDER,
            model=profile.id,
        )


class TaskImageClient:
    """See ``tasks.clients.ImageClient``."""

    def __init__(
        self, calls: TaskCalls, platform: TaskPlatformClient, pending: PendingPictures, references: ReferencePictures
    ) -> None:
        self._calls = calls
        self._platform = platform
        self._pending = pending
        self._references = references

    async def paint(self, picture: ImageRequest, *, character_id: str | None = None) -> Media:
        async def usable(made: PendingPicture) -> bool:
            return await self._pending.holds(made) or await self._platform.has_media(picture, made)

        reasks = min(MOST_REPAINTS, self._calls.providers.max_reasks)
        while True:
            try:
                made = await self._calls.checkpoints.run(
                    partial(self._generate, picture),
                    dump=lambda value: value.model_dump_json(),
                    load=PendingPicture.model_validate_json,
                    usable=usable,
                )
                break
            except InvalidAnswerError as error:
                if reasks == 0 or not error.chance:
                    raise
                reasks -= 1
                logger.info("%s: asked again: %s", picture.media_type.name.lower(), error)
        stored = await self._platform.media(picture, made, self._pending, character_id)
        return Media(media_id=stored.media_id, url=stored.url, prompt=picture.prompt, width=made.width, height=made.height)

    async def _generate(self, picture: ImageRequest) -> PendingPicture:
        def control() -> Call[object]:
            asked = picture.model_copy(update={"prompt": CONTROL_PICTURE, "references": ()})
            return self._call(CONTROL, asked, uuid.uuid4().hex)

        named = f"{self._calls.task.task_id}/{picture.model_dump_json()}".encode()
        key = hashlib.sha256(named).hexdigest()[:32]
        found: list[tuple[Shown, bytes]] = []
        if takes_references(self._calls.providers.images):
            found = await self._references.load(self._calls, picture.references)
        people = tuple(one for one, _ in found)
        sent = picture.model_copy(update={"prompt": with_references(picture.prompt, people), "references": people})
        call = self._call(picture.media_type.name.lower(), sent, key, control, [data for _, data in found])
        return await self._pending.keep(key, await self._calls.providers.gateway.call(call, self._calls.ledger))

    def _call(
        self,
        request_type: str,
        picture: ImageRequest,
        key: str,
        control: Callable[[], Call[object]] | None = None,
        references: Sequence[bytes] = (),
    ) -> Call[CheckedImage]:
        images, gateway = self._calls.providers.images, self._calls.providers.gateway

        async def send() -> Answer[CheckedImage]:
            try:
                image = await images.generate(
                    prompt=picture.prompt,
                    width=picture.width,
                    height=picture.height,
                    seed=picture.seed,
                    references=references,
                    idempotency_key=key,
                )
                wrong = wrong_with(image)
            except (CallError, TimeoutError):
                raise
            except Exception as error:  # noqa: BLE001  a provider's own error, which it should have turned into an outcome
                wrong = f"generate() raised {type(error).__name__}: {error}; it must raise a class of resources/gateway/outcomes.py"
            if wrong:  # it may have been carried out: the worst case counts
                kind = InvalidAnswerError if gateway.has_answered(Api.IMAGE) else FatalCallError
                return Answer(None, {}, None, error=kind(f"{type(images).__name__}: {wrong}"))
            data = {"mime": image.mime, "bytes": len(image.data), "provider_id": image.provider_id}
            try:
                return Answer(await checked(image), data, image.cost_usd)
            except PictureError as error:
                unusable = InvalidAnswerError(f"{type(images).__name__}: the picture {error}", chance=True)
                return Answer(None, data, image.cost_usd, error=unusable)

        data, cost_usd = picture.model_dump(mode="json"), images.cost_per_image_usd
        provider, model = provider_and_model(images)
        return self._calls.new(
            Api.IMAGE, request_type, data, send, worst_case_usd=cost_usd, control=control, provider=provider, model=model
        )
