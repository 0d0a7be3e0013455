"""The rules for well-formed requests, model by model. Each rule is one of the real API, with its message.

Not here: the shape of the request (wire.py) and of its schema (schema.py).
"""

from __future__ import annotations

import base64
import binascii
import io

from PIL import Image, UnidentifiedImageError

from emulators.gemini.api.errors import invalid_argument
from emulators.gemini.api.models import PICTURE_SIZES, Model
from emulators.gemini.api.wire import GenerateRequest, GenerationConfig

MAX_THINKING_BUDGET = 24_576
MIME_TYPES = ("text/plain", "application/json", "application/xml", "application/yaml", "text/x.enum")

REFERENCE_TYPES = ("image/png", "image/jpeg", "image/webp", "image/heic", "image/heif")
MOST_REFERENCES = 14
REFERENCE_TOKENS = 1_120

_STANDARD = str.maketrans("-_", "+/")
"""Both alphabets of base64 are read; the SDK sends the one of URLs."""

_CONFIG = "* GenerateContentRequest.generation_config"


def check(request: GenerateRequest, model: Model) -> None:
    """Refuse what Google refuses. Raises GoogleError (400)."""
    _check_contents(request, model)
    _check_thinking(request.generation_config, model)
    _check_sampling(request.generation_config)
    _check_output(request.generation_config, model)
    _check_pictures(request, model)
    if request.service_tier in ("flex", "priority") and request.service_tier not in model.service_tiers:
        raise invalid_argument(f"{request.service_tier.capitalize()} API is not supported for model: {model.name}.")


def _check_contents(request: GenerateRequest, model: Model) -> None:
    if not request.contents:
        raise invalid_argument("* GenerateContentRequest.contents: contents is not specified\n")
    for index, turn in enumerate(request.contents):
        if not turn.parts:
            raise invalid_argument(f"* GenerateContentRequest.contents[{index}].parts: contents.parts must not be empty.\n")
        if turn.role not in (None, "user", "model", "function"):
            raise invalid_argument("Please use a valid role: user, model.")
    last = request.contents[-1]
    if last.role == "model" and last.parts[-1].function_response is None and not model.prefill:
        raise invalid_argument("Requests ending with a model turn are not supported unless the last part is a function response.")


def _check_thinking(config: GenerationConfig, model: Model) -> None:
    thinking = config.thinking_config
    if thinking is None:
        return
    level, budget = thinking.thinking_level, thinking.thinking_budget
    if level is not None and budget is not None:
        raise invalid_argument("You can only set only one of thinking budget and thinking level.")
    if level is not None and not model.thinking_levels:
        raise invalid_argument("Thinking level is not supported for this model.")
    if level is not None and level.upper() not in {*model.thinking_levels, "THINKING_LEVEL_UNSPECIFIED"}:
        raise invalid_argument(
            f"Thinking level {level.upper()} is not supported for this model. Please retry with other thinking level."
        )
    if budget == 0 and not model.zero_budget:
        raise invalid_argument("Budget 0 is invalid. This model only works in thinking mode.")
    if budget is not None and not -1 <= budget <= MAX_THINKING_BUDGET:
        raise invalid_argument(
            f"The thinking budget {budget} is invalid. Please choose a value between 0 and {MAX_THINKING_BUDGET}."
        )


def _check_sampling(config: GenerationConfig) -> None:
    if config.presence_penalty or config.frequency_penalty:
        raise invalid_argument("Penalty is not enabled for this model")
    if config.temperature is not None and not 0 <= config.temperature <= 2:
        raise invalid_argument(f"{_CONFIG}.temperature: temperature must be in the range [0.0, 2.0].\n")
    if config.top_p is not None and not 0 <= config.top_p <= 1:
        raise invalid_argument(f"{_CONFIG}.top_p: top_p must be in the range [0.0, 1.0].\n")
    if config.candidate_count not in (None, 1):
        raise invalid_argument("Multiple candidates is not enabled for this model")


def _check_output(config: GenerationConfig, model: Model) -> None:
    limit, most = config.max_output_tokens, model.output_token_limit
    if limit is not None and not 1 <= limit <= most:
        raise invalid_argument(f"{_CONFIG}.max_output_tokens: max_output_tokens must be in the range [1, {most}].\n")
    mime = config.response_mime_type
    if mime is not None and mime not in MIME_TYPES:
        allowed = ", ".join(f"`{name}`" for name in MIME_TYPES[:-1])
        raise invalid_argument(f"{_CONFIG}.response_mime_type: allowed mimetypes are {allowed} and `{MIME_TYPES[-1]}`.\n")
    has_schema = config.response_schema is not None or config.response_json_schema is not None
    if has_schema and mime not in ("application/json", "text/x.enum"):
        raise invalid_argument("Response schema is only supported with response mime type application/json or text/x.enum.")


def _check_pictures(request: GenerateRequest, model: Model) -> None:
    config = request.generation_config
    asked = set(config.response_modalities or ())
    if asked - ({"TEXT", "IMAGE"} if model.makes_pictures else {"TEXT"}) - {"MODALITY_UNSPECIFIED"}:
        accepted = "* TEXT, IMAGE\n* IMAGE" if model.makes_pictures else "* TEXT"
        raise invalid_argument(
            f"The requested combination of response modalities ({', '.join(sorted(asked))}) is not supported by the model. "
            f"models/{model.name} accepts the following combination of response modalities:\n{accepted}\n"
        )
    if config.image_config is not None:
        if not model.makes_pictures:
            raise invalid_argument(f"Image config is not supported for models/{model.name}.")
        _require_one_of("aspect_ratio", config.image_config.aspect_ratio, tuple(PICTURE_SIZES))
        _require_one_of("image_size", config.image_config.image_size, model.image_sizes)
    if model.makes_pictures and config.response_mime_type not in (None, "text/plain"):
        raise invalid_argument(f"JSON mode is not enabled for models/{model.name}")
    blobs = request.blobs()
    if len(blobs) > MOST_REFERENCES:
        raise invalid_argument(f"At most {MOST_REFERENCES} images are supported per request, and there are {len(blobs)}.")
    for blob in blobs:
        reference(blob.mime_type or "", blob.data or "")
    if len(request.prompt_text()) // 4 + REFERENCE_TOKENS * len(blobs) > model.input_token_limit:
        raise invalid_argument(f"The input token count exceeds the maximum number of tokens allowed ({model.input_token_limit}).")


def _require_one_of(field: str, value: str | None, allowed: tuple[str, ...]) -> None:
    if value is not None and value not in allowed:
        listed = ", ".join(f"'{name}'" for name in allowed)
        raise invalid_argument(f"{_CONFIG}.image_config.{field}: {field} must be one of {listed}, and is '{value}'.\n")


def reference(mime_type: str, data: str) -> Image.Image:
    """The picture of a part. Raises GoogleError (400) for one that cannot be decoded."""
    if mime_type not in REFERENCE_TYPES:
        raise invalid_argument(f"Unsupported MIME type: {mime_type}")
    try:
        picture = Image.open(io.BytesIO(base64.b64decode(data.translate(_STANDARD), validate=True)))
        picture.load()
    except (binascii.Error, UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise invalid_argument("Unable to process input image. Please retry with another image.") from error
    if Image.MIME.get(picture.format or "") != mime_type:
        raise invalid_argument(f"Unable to process input image: it is not of the type {mime_type}.")
    return picture
