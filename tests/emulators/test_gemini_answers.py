"""Valid answers of the Gemini emulator, read with Google's own SDK."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from google import genai
from google.genai import types

from emulators.gemini.client import EmulatorControl
from tests.support.gemini_emulator import FLASH, LITE, NEWEST, Village, ask, sdk, village_config


@pytest.fixture
async def client(gemini: str) -> AsyncIterator[genai.Client]:
    async with sdk(gemini) as made:
        yield made


async def test_an_answer_is_valid_against_its_class(client):
    """The answer to a JSON schema of a pydantic class is JSON that the class accepts, for every model."""
    for model in (FLASH, LITE, NEWEST, "gemini-3.1-flash-lite"):
        answer = await client.aio.models.generate_content(model=model, contents="A village on a reef", config=village_config())
        village = Village.model_validate_json(answer.text or "")
        assert 3 <= len(village.people) <= 6
        assert answer.candidates is not None
        assert answer.candidates[0].finish_reason is types.FinishReason.STOP
        assert answer.model_version == model


async def test_the_sdks_own_schema_dialect_is_answered_too(client):
    """The SDK parses the answer to ``response_schema=<class>`` (OpenAPI dialect, mixed casing) into an instance of the class."""
    config = types.GenerateContentConfig(response_mime_type="application/json", response_schema=Village)
    answer = await client.aio.models.generate_content(model=FLASH, contents="A village on a reef", config=config)
    assert isinstance(answer.parsed, Village)


async def test_equal_requests_have_equal_answers_and_different_requests_different_ones(client):
    """The same request and seed give the same text, byte for byte; another seed or another prompt gives another text."""
    first, again = await ask(client, seed=7), await ask(client, seed=7)
    assert first.text == again.text
    assert len({first.text, (await ask(client, seed=8)).text, (await ask(client, "A village on a moon", seed=7)).text}) == 3


async def test_without_a_schema_the_answer_is_plain_text(client):
    """Without mime type and schema the answer has paragraphs in the language of the prompt."""
    answer = await client.aio.models.generate_content(model=FLASH, contents="Расскажи про остров, где все дома плавают")
    assert re.search("[а-я]{4}", answer.text or "")
    assert "{" not in (answer.text or "")


async def test_an_answer_longer_than_its_limit_is_cut(client):
    """``max_output_tokens`` cuts the text with finish reason MAX_TOKENS and no exception; the SDK leaves ``parsed`` empty."""
    answer = await ask(client, max_output_tokens=40, thinking_config=types.ThinkingConfig(thinking_budget=0))
    assert answer.candidates is not None
    assert answer.candidates[0].finish_reason is types.FinishReason.MAX_TOKENS
    assert answer.usage_metadata is not None
    assert 30 <= (answer.usage_metadata.candidates_token_count or 0) <= 41
    assert answer.parsed is None


async def test_thinking_counts_against_the_limit_and_can_be_shown(client):
    """Thinking is in the usage figures, counts against the output limit, and is a separate part if it is requested."""
    shown = await ask(client, thinking_config=types.ThinkingConfig(include_thoughts=True))
    assert shown.candidates is not None
    assert shown.candidates[0].content is not None
    assert [bool(part.thought) for part in shown.candidates[0].content.parts or []] == [True, False]
    Village.model_validate_json(shown.text or "")
    starved = await ask(client, max_output_tokens=20)
    assert starved.usage_metadata is not None
    assert starved.usage_metadata.thoughts_token_count == 20
    assert not starved.text


async def test_usage_adds_up_and_a_long_prefix_is_cached(client, gemini):
    """Prompt, candidates and thoughts sum up to the total, and a long prefix of an earlier prompt is counted as cached."""
    world = "The village stands on a reef and nobody in it can swim. " * 300
    answers = [await ask(client, "Item", system_instruction=world, seed=seed) for seed in (1, 2)]
    for usage in (answer.usage_metadata for answer in answers):
        assert usage is not None
        parts = (usage.prompt_token_count, usage.candidates_token_count, usage.thoughts_token_count)
        assert usage.total_token_count == sum(part or 0 for part in parts)
    used = [answer.usage_metadata.cached_content_token_count for answer in answers if answer.usage_metadata]
    assert used[0] is None
    assert (used[1] or 0) > 2048
    with EmulatorControl(gemini) as control:
        stats = control.stats()
    assert stats.cached_tokens == used[1]
    assert stats.prompt_tokens == sum(answer.usage_metadata.prompt_token_count or 0 for answer in answers if answer.usage_metadata)


async def test_a_text_in_pieces_and_signed_parts_are_joined_by_the_sdk(client, gemini):
    """A text in several parts, and parts with a thoughtSignature (from 3.5 on), is read as one text."""
    with EmulatorControl(gemini) as control:
        control.set_faults(split_text=1)
    answer = await client.aio.models.generate_content(model=LITE, contents="A village", config=village_config())
    assert answer.candidates is not None
    assert answer.candidates[0].content is not None
    parts = answer.candidates[0].content.parts or []
    assert len(parts) == 2
    assert parts[-1].thought_signature
    Village.model_validate_json(answer.text or "")


async def test_models_can_be_looked_up(client):
    """``GET /models/{model}`` returns the limits, with both API versions."""
    model = await client.aio.models.get(model=LITE)
    assert (model.name, model.output_token_limit) == (f"models/{LITE}", 65_536)


def run_once(*options: str) -> tuple[str, subprocess.Popen[str]]:
    process = subprocess.Popen([sys.executable, "-m", "emulators.gemini", *options], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process.stdout.readline().strip(), process


@pytest.mark.servers
async def test_a_restarted_emulator_with_the_same_seed_gives_the_same_answers(tmp_path: Path):
    """The answers follow from the seed of the command line, the ready line and the ready file have the URL, and SIGTERM ends it
    with 0."""
    texts = []
    for seed in ("1", "1", "2"):
        ready_file = tmp_path / f"ready-{len(texts)}"
        line, process = await asyncio.to_thread(run_once, "--seed", seed, "--ready-file", str(ready_file))
        try:
            url = ready_file.read_text().strip()
            assert line == f"gemini emulator ready {url}"
            async with sdk(url) as made:
                texts.append((await ask(made)).text)
        finally:
            process.terminate()
        assert await asyncio.to_thread(process.wait, 10) == 0
    assert texts[0] == texts[1] != texts[2]


@pytest.mark.slow
async def test_a_recorded_answer_is_replayed_and_counted(tmp_path: Path):
    """It is given for each identical request, once more after a complaint, and then the emulator writes; the counts have the
    number."""
    answer = {"wishes": [], "calendar": [], "name": "Recorded Town"}
    (tmp_path / "recorded" / "world").mkdir(parents=True)
    order = {"prompt": "A town", "users": 1, "posts": 2, "seed": 7, "code": "0123abcd"}
    for name, content in (("order", order), ("world_description", answer)):
        (tmp_path / "recorded" / "world" / f"{name}.json").write_text(json.dumps(content), "utf-8")
    schema = {
        "type": "object",
        "properties": {"wishes": {"type": "array"}, "calendar": {"type": "array"}, "name": {"type": "string"}},
        "required": ["wishes", "calendar", "name"],
    }
    sentence = "<user-sentence-0123abcd>\nA town\n</user-sentence-0123abcd>\n1 person will live in it and write 2 posts about it."
    complained = f"{sentence}\nYour last answer could not be used. Answer again in full, and mend this:\n- it"
    _, process = await asyncio.to_thread(
        run_once, "--recorded", str(tmp_path / "recorded"), "--ready-file", str(tmp_path / "ready")
    )
    try:
        url = (tmp_path / "ready").read_text().strip()
        async with sdk(url) as client:
            said = [
                json.loads((await ask(client, text, response_json_schema=schema)).text or "")["name"]
                for text in (sentence, sentence, complained, complained, sentence.replace("A town", "A city"))
            ]
        with EmulatorControl(url) as control:
            stats = control.stats()
    finally:
        process.terminate()
    assert said[:3] == ["Recorded Town"] * 3
    assert "Recorded Town" not in said[3:]
    assert (stats.recorded, stats.recorded_unfit, stats.calls) == (3, 0, 5)
