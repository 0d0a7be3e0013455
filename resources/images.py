"""The image API: its protocol, the result of a call and its check, and how a provider is loaded.

A new provider is one class with the protocol ``ImageGenerator``, named by IMAGE_PROVIDER (docs/image_provider.py is an example). It
turns its own errors into ``resources.gateway.outcomes`` and does no retries. The stub that draws without any API is in
emulators/image_stub, Gemini's image models in gemini/images.py.
"""

from __future__ import annotations

import asyncio
import inspect
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module
from typing import Protocol

from resources.gateway.outcomes import FatalCallError
from resources.gemini.image_models import asked_at
from resources.pictures import size_of
from resources.settings import GEMINI, STUB, GeminiSettings, ImageSettings

STUB_CLASS = "emulators.image_stub:StubImageGenerator"
"""The provider that draws: it needs no API, and takes its latency and price as arguments."""


@dataclass(frozen=True)
class GeneratedImage:
    """A picture as the image API delivered it."""

    data: bytes
    mime: str
    """Media type of ``data``, such as ``image/jpeg``."""
    cost_usd: float
    """What the provider charged for this picture, in US dollars."""
    provider_id: str
    """The provider's own id of the picture, for support questions and bills."""


@dataclass(frozen=True)
class CheckedImage(GeneratedImage):
    """A picture whose pixels decode; its size in pixels is its own, whatever size was asked for."""

    width: int
    height: int


class ImageGenerator(Protocol):
    """An image API. A class attribute ``takes_references = True`` says that it keeps the faces of reference pictures."""

    @property
    def cost_per_image_usd(self) -> float:
        """The most one picture can cost, in US dollars: what a budget reserves before the call."""

    async def generate(
        self, *, prompt: str, width: int, height: int, seed: int, references: Sequence[bytes], idempotency_key: str
    ) -> GeneratedImage:
        """Make one picture of ``width`` x ``height`` pixels, or the nearest size that the API has.

        ``references`` are the pictures that the prompt calls the first picture, the second picture, and so on. A provider whose
        ``takes_references`` is not true gets none. The same ``seed`` with the same prompt and size asks for the same picture;
        providers keep that more or less well.
        ``idempotency_key`` is passed to providers that support such keys, so that a repeated request is not billed twice.
        Raises ``RefusedError`` when moderation refuses the prompt, ``RateLimitedError``, ``TransientError`` or
        ``FatalCallError`` as any other call.
        """

    async def aclose(self) -> None:
        """Close connections and threads. The generator is not used afterwards."""


def provider_class(name: str) -> type[ImageGenerator]:
    """The class that ``module:Class`` names. Raises ``ValueError`` saying what it lacks of the protocol, with the signature."""
    module, _, attribute = name.partition(":")
    if not module or not attribute:
        raise ValueError("must be module:Class, such as my_images:Painter")
    try:
        found = getattr(import_module(module), attribute)
    except Exception as error:  # a foreign module may raise anything
        raise ValueError(f"cannot be imported: {type(error).__name__}: {error}; the module must be on PYTHONPATH") from error
    if not isinstance(found, type):
        raise ValueError(f"is no class but {type(found).__name__}")  # noqa: TRY004  settings show ValueErrors
    lacks = [] if hasattr(found, "cost_per_image_usd") else ["cost_per_image_usd: float, a class attribute or a property"]
    for method in (ImageGenerator.generate, ImageGenerator.aclose):
        own, wanted = getattr(found, method.__name__, None), inspect.signature(method)
        if not inspect.iscoroutinefunction(own) or not _takes(own, wanted):
            lacks.append(f"async def {method.__name__}{wanted}")
    if lacks:
        raise ValueError(f"has not, or not like this: {'; '.join(lacks)} (the protocol ImageGenerator in resources/images.py)")
    return found


def _takes(function: object, wanted: inspect.Signature) -> bool:
    names = [name for name in wanted.parameters if name != "self"]
    try:
        inspect.signature(function).bind(None, **dict.fromkeys(names))  # type: ignore[arg-type]  # seen to be a function
    except TypeError:
        return False
    return True


def open_provider(name: str, **options: object) -> ImageGenerator:
    """A generator of the class that ``module:Class`` names. Raises ``FatalCallError`` where it cannot be made."""
    try:
        made = provider_class(name)(**options)
        price = float(made.cost_per_image_usd)
    except Exception as error:  # as above
        raise FatalCallError(f"IMAGE_PROVIDER={name}: cannot be made: {type(error).__name__}: {error}") from error
    if not 0 <= price < math.inf:
        raise FatalCallError(f"IMAGE_PROVIDER={name}: cost_per_image_usd={price}: must be US dollars from 0 on")
    return made


def open_images(settings: ImageSettings, gemini: GeminiSettings) -> ImageGenerator:
    """The generator that the settings choose, on the running event loop. Raises ``FatalCallError`` where it cannot be made."""
    if settings.image_provider == GEMINI:
        from resources.gemini.images import GeminiImages  # imports what only this provider needs

        return GeminiImages(
            model=settings.image_model,
            api_key=gemini.gemini_api_key.get_secret_value(),
            base_url=gemini.gemini_base_url,
            timeout_seconds=settings.image_timeout_seconds,
        )
    if settings.image_provider != STUB:
        return open_provider(settings.image_provider)
    return open_provider(
        STUB_CLASS,
        latency_seconds=settings.image_stub_latency_seconds,
        cost_usd=settings.image_stub_cost_usd,
        refused_words=[word.strip() for word in settings.image_stub_refused_words.split(",") if word.strip()],
    )


def usual_usd(settings: ImageSettings, moment: datetime) -> float:
    """What one picture usually costs, in US dollars, for quotes: no client is opened. Raises ``FatalCallError``."""
    if settings.image_provider == GEMINI:
        return asked_at(settings.image_model, moment).usual_usd(moment)
    if settings.image_provider == STUB:
        return settings.image_stub_cost_usd
    return open_provider(settings.image_provider).cost_per_image_usd


def takes_references(images: ImageGenerator) -> bool:
    return getattr(images, "takes_references", False) is True


def provider_and_model(images: ImageGenerator) -> tuple[str, str]:
    """Who is called, for traces: its attributes ``provider`` and ``model``, both optional; else its class, and no model."""
    return getattr(images, "provider", type(images).__name__), getattr(images, "model", "")


def wrong_with(image: object) -> str:
    """What a provider's result has against the protocol, or ''. Its bytes may still be no picture (``checked``)."""
    if not isinstance(image, GeneratedImage):
        return f"generate() must return a GeneratedImage and returned {type(image).__name__}"
    if type(image.data) is not bytes:
        return "GeneratedImage.data must be the picture's bytes"
    if not isinstance(image.mime, str) or not image.mime.startswith("image/"):
        return f"GeneratedImage.mime={image.mime!r}: must be a media type such as image/jpeg"
    if not isinstance(image.cost_usd, (int, float)) or not 0 <= image.cost_usd < math.inf:
        return f"GeneratedImage.cost_usd={image.cost_usd!r}: must be US dollars from 0 on"
    return ""


async def checked(image: GeneratedImage) -> CheckedImage:
    """The picture with its size, decoded in a thread. Raises ``PictureError`` for bytes that are not the picture they claim."""
    width, height = await asyncio.to_thread(size_of, image.data, image.mime)
    return CheckedImage(image.data, image.mime, image.cost_usd, image.provider_id, width, height)
