"""The request message: its fields, and how a body is parsed, or refused with Google's message.

Here: the shape. Field names are accepted in snake_case and camelCase, because the SDK mixes both in one body. Not here: which
combinations of fields are allowed (rules.py) and JSON schemas (schema.py).
"""

from __future__ import annotations

import json
import re
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError
from pydantic.alias_generators import to_camel, to_snake

from emulators.gemini.api.errors import bad_payload

_TYPES = "type.googleapis.com/google.ai.generativelanguage.v1beta."


class Message(BaseModel):
    """A protobuf message in JSON: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel, validate_by_name=True, validate_by_alias=True)


class Blob(Message):
    """Bytes in a part, such as a reference picture."""

    mime_type: str | None = None
    data: str | None = None
    display_name: str | None = None


class Part(Message):
    """A part of a turn. Texts and pictures are read; the other kinds are accepted unread."""

    text: str | None = None
    thought: bool | None = None
    thought_signature: str | None = None
    inline_data: Blob | None = None
    file_data: JsonValue = None
    function_call: JsonValue = None
    function_response: JsonValue = None
    executable_code: JsonValue = None
    code_execution_result: JsonValue = None
    video_metadata: JsonValue = None
    media_resolution: JsonValue = None
    part_metadata: JsonValue = None


class Content(Message):
    """A turn of the conversation, or the system instruction."""

    role: str | None = None
    parts: list[Part] = []

    def text(self) -> str:
        """The turn's texts, joined."""
        return "\n".join(part.text for part in self.parts if part.text)


class ThinkingConfig(Message):
    """How much the model may think."""

    include_thoughts: bool | None = None
    thinking_budget: int | None = None
    thinking_level: (
        Literal[
            "THINKING_LEVEL_UNSPECIFIED",
            "MINIMAL",
            "LOW",
            "MEDIUM",
            "HIGH",
            "XHIGH",
            "minimal",
            "low",
            "medium",
            "high",
            "xhigh",
        ]
        | None
    ) = None


class OpenApiSchema(Message):
    """``response_schema``: the OpenAPI dialect, a message with these fields and no others."""

    type: (
        Literal[
            "TYPE_UNSPECIFIED", "STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL",
            "string", "number", "integer", "boolean", "array", "object", "null",
        ]
        | None
    ) = None  # fmt: skip
    format: str | None = None
    title: str | None = None
    description: str | None = None
    nullable: bool | None = None
    enum: list[str] | None = None
    items: OpenApiSchema | None = None
    min_items: int | None = None
    max_items: int | None = None
    properties: dict[str, OpenApiSchema] | None = None
    property_ordering: list[str] | None = None
    required: list[str] | None = None
    min_properties: int | None = None
    max_properties: int | None = None
    minimum: float | None = None
    maximum: float | None = None
    min_length: int | None = None
    max_length: int | None = None
    pattern: str | None = None
    example: JsonValue = None
    default: JsonValue = None
    any_of: list[OpenApiSchema] | None = None
    additional_properties: JsonValue = None
    defs: dict[str, OpenApiSchema] | None = None
    ref: str | None = None


class ImageConfig(Message):
    """What a picture must be like."""

    aspect_ratio: str | None = None
    image_size: str | None = None
    person_generation: str | None = None


class GenerationConfig(Message):
    """What the answer must be like."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: float | None = None
    candidate_count: int | None = None
    max_output_tokens: int | None = None
    stop_sequences: list[str] | None = None
    response_logprobs: bool | None = None
    logprobs: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    seed: int | None = None
    response_mime_type: str | None = None
    response_schema: OpenApiSchema | None = None
    response_json_schema: JsonValue = None
    response_modalities: list[Literal["MODALITY_UNSPECIFIED", "TEXT", "IMAGE", "AUDIO", "VIDEO"]] | None = None
    media_resolution: str | None = None
    speech_config: JsonValue = None
    thinking_config: ThinkingConfig | None = None
    image_config: ImageConfig | None = None
    enable_enhanced_civic_answers: bool | None = None


class GenerateRequest(Message):
    """The body of ``generateContent``."""

    model: str | None = None
    contents: list[Content] = []
    system_instruction: Content | None = None
    generation_config: GenerationConfig = Field(default_factory=GenerationConfig)
    safety_settings: list[JsonValue] | None = None
    tools: list[JsonValue] | None = None
    tool_config: JsonValue = None
    cached_content: str | None = None
    service_tier: Literal["unspecified", "flex", "standard", "priority"] | None = None
    store: bool | None = None

    def system_text(self) -> str:
        """What the system instruction says, or ''."""
        return self.system_instruction.text() if self.system_instruction else ""

    def user_text(self) -> str:
        """What the user's turns say, oldest first."""
        return "\n".join(turn.text() for turn in self.contents if turn.role != "model")

    def blobs(self) -> list[Blob]:
        """The pictures that the model sees."""
        return [part.inline_data for turn in self.contents for part in turn.parts if part.inline_data is not None]

    def prompt_text(self) -> str:
        """Everything the model reads, in the order in which the implicit cache sees it."""
        return "\n".join([self.system_text(), *(turn.text() for turn in self.contents)])


def parse(body: bytes) -> GenerateRequest:
    """Parse a body as a request. Raises GoogleError (400) that names every unknown field and every value of a wrong type, as Google
    does.
    """
    try:
        raw: JsonValue = json.loads(body)
    except ValueError as error:
        snippet = body[:40].decode("utf-8", "replace")
        text = f"Invalid JSON payload received. Unexpected token.\n{snippet}\n^"
        raise bad_payload([("", text)]) from error
    if not isinstance(raw, dict):
        raise bad_payload([("", 'Invalid JSON payload received. Unknown name "": Root element must be a message.')])
    try:
        return GenerateRequest.model_validate(raw)
    except ValidationError as error:
        raise bad_payload([_violation(raw, item["loc"], item["type"]) for item in error.errors()]) from error


def _violation(raw: JsonValue, loc: tuple[str | int, ...], kind: str) -> tuple[str, str]:
    """One field violation: (path, description), both as Google writes them."""
    if kind == "extra_forbidden":
        path = _path(raw, loc[:-1])
        at = f" at '{path}'" if path else ""
        return path, f'Invalid JSON payload received. Unknown name "{loc[-1]}"{at}: Cannot find field.'
    path = _path(raw, loc)
    value = json.dumps(_lookup(raw, loc), ensure_ascii=False)
    return path, f"Invalid value at '{path}' ({_type_name(kind, path)}), {value}"


def _type_name(kind: str, path: str) -> str:
    field = re.sub(r"\[\d+\]", "", path).rsplit(".", maxsplit=1)[-1]
    if kind == "literal_error":
        names = {"thinking_level": "ThinkingConfig.ThinkingLevel", "type": "Type", "response_modalities": "Modality"}
        return _TYPES + names.get(field, "ServiceTier")
    for prefix, name in (("int", "TYPE_INT32"), ("float", "TYPE_FLOAT"), ("bool", "TYPE_BOOL"), ("string", "TYPE_STRING")):
        if kind.startswith(prefix):
            return name
    return _TYPES + "".join(word.capitalize() for word in field.split("_"))


def _lookup(raw: JsonValue, loc: tuple[str | int, ...]) -> JsonValue:
    for step in loc:
        if isinstance(raw, dict):
            raw = raw.get(str(step))
        elif isinstance(raw, list) and isinstance(step, int):
            raw = raw[step]
    return raw


def _path(raw: JsonValue, loc: tuple[str | int, ...]) -> str:
    """A pydantic location as Google writes it: snake_case, list indexes in brackets, map entries as ``[i].value``."""
    path = ""
    in_map = False
    for step in loc:
        if isinstance(step, int):
            path += f"[{step}]"
        elif in_map and isinstance(raw, dict):
            path += f"[{list(raw).index(step)}].value"
        else:
            path += f".{to_snake(step)}" if path else to_snake(step)
        in_map = not in_map and step in ("properties", "defs")
        raw = _lookup(raw, (step,))
    return path
