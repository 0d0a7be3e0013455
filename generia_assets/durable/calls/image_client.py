"""The painter: a task's image API, and the media service that keeps what it painted.

Here: one picture as two remembered steps, the making (its bytes are kept until the upload is recorded) and the upload.
"""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import replace
from functools import partial

from pydantic import BaseModel

from generia_assets.content.documents import Media
from generia_assets.durable.calls.ledger import BudgetLedger
from generia_assets.durable.calls.platform_client import TaskPlatformClient
from generia_assets.durable.calls.providers import Providers, labels_of
from generia_assets.durable.tasks.checkpoints import Checkpoints
from generia_assets.durable.tasks.runner import TaskContext
from generia_assets.tasks.clients import StoredPicture
from resources.gateway.api_gateway import CONTROL, Answer, Api, Call
from resources.gateway.outcomes import CallError, FatalCallError, InvalidAnswerError
from resources.images import GeneratedImage, wrong_with

_CONTROL = "A plain grey wall in daylight"
"""What a control asks for: nobody refuses it."""


class TaskImageClient:
    """See ``tasks.tools.Painter``."""

    def __init__(
        self, task: TaskContext, steps: Checkpoints, providers: Providers, account: BudgetLedger, publisher: TaskPlatformClient
    ) -> None:
        self._task = task
        self._steps = steps
        self._providers = providers
        self._account = account
        self._publisher = publisher

    async def paint(self, picture: StoredPicture, *, character_id: str | None = None) -> Media:
        """Make the picture, keep it, and return where; see ``tasks.tools.Painter``."""
        image = await self._steps.run(partial(self._generate, picture), dump=_dump_image, load=_load_image)
        stored = await self._publisher.media(picture, image, character_id)
        return Media(media_id=stored.media_id, url=stored.url, prompt=picture.prompt, width=picture.width, height=picture.height)

    async def _generate(self, picture: StoredPicture) -> GeneratedImage:
        control = self._call(CONTROL, picture.model_copy(update={"prompt": _CONTROL}), uuid.uuid4().hex)
        call = replace(self._call(picture.media_type.name.lower(), picture, self._key(picture)), control=control)
        return await self._providers.outside.call(call, self._account)

    def _call(self, request_type: str, picture: StoredPicture, key: str) -> Call[GeneratedImage]:
        images = self._providers.images

        async def send() -> Answer[GeneratedImage]:
            try:
                image = await images.generate(
                    prompt=picture.prompt, width=picture.width, height=picture.height, seed=picture.seed, idempotency_key=key
                )
                wrong = wrong_with(image)
            except (CallError, TimeoutError):
                raise
            except Exception as error:  # noqa: BLE001  a provider's own error, which it should have turned into an outcome
                wrong = f"generate() raised {type(error).__name__}: {error}; it must raise a class of resources/gateway/outcomes.py"
            if wrong:  # it may have been carried out: the worst case counts
                kind = InvalidAnswerError if self._providers.outside.has_answered(Api.IMAGE) else FatalCallError
                return Answer(None, {}, None, error=kind(f"{type(images).__name__}: {wrong}"))
            data = {"mime": image.mime, "bytes": len(image.data), "provider_id": image.provider_id}
            return Answer(image, data, image.cost_usd)

        return Call(
            api=Api.IMAGE,
            request_type=request_type,
            task_id=self._task.task_id,
            priority=self._task.priority,
            labels=labels_of(self._task),
            request_data=picture.model_dump(mode="json"),
            send=send,
            worst_case_usd=images.cost_per_image_usd,
            timeout_seconds=self._providers.timeouts.image,
            item_calls=self._task.item_calls,
        )

    def _key(self, picture: StoredPicture) -> str:
        return hashlib.sha256(f"{self._task.task_id}/{picture.model_dump_json()}".encode()).hexdigest()[:32]


class _ImageHeader(BaseModel):
    """What is remembered of a picture beside its bytes."""

    mime: str
    cost_usd: float
    provider_id: str


def _dump_image(image: GeneratedImage) -> bytes:
    header = _ImageHeader(mime=image.mime, cost_usd=image.cost_usd, provider_id=image.provider_id).model_dump_json().encode()
    return len(header).to_bytes(4, "big") + header + image.data


def _load_image(stored: str | bytes) -> GeneratedImage:
    data = bytes(stored) if isinstance(stored, bytes) else stored.encode()
    end = 4 + int.from_bytes(data[:4], "big")
    header = _ImageHeader.model_validate_json(data[4:end])
    return GeneratedImage(data=data[end:], mime=header.mime, cost_usd=header.cost_usd, provider_id=header.provider_id)
