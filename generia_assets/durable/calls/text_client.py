"""The writer: a task's language model, on the one path to the outside, each call a remembered step.

Here: asking again what came back damaged, and asking another way when a model turned out to be gone or changed. Not here: how
Gemini is spoken to (resources/gemini/client.py), and what is wrong with an answer (resources/gemini/answers.py).
"""

from __future__ import annotations

import json
import logging
from functools import partial

from pydantic import BaseModel

from generia_assets.content.prompt import Prompt
from generia_assets.content.schemas import schema_of
from generia_assets.durable.calls.ledger import BudgetLedger
from generia_assets.durable.calls.providers import Providers, labels_of
from generia_assets.durable.retries import retry_on_outage
from generia_assets.durable.tasks.checkpoints import Checkpoints
from generia_assets.durable.tasks.runner import TaskContext
from generia_assets.tasks.clients import DraftT
from resources.gateway.api_gateway import CONTROL, Answer, Api, Call
from resources.gateway.outcomes import FatalCallError, InvalidAnswerError, ModelMissingError, ParameterRefusedError
from resources.gemini.answers import AnswerT
from resources.gemini.client import TextRequest
from resources.gemini.model_resolver import ModelReplacedError
from resources.gemini.models import ModelProfile

logger = logging.getLogger(__name__)

MOST_ROOM = 4
"""A cut answer is asked again with twice the output tokens, up to so many times what its task was given: a task is given what it
usually needs, with room to spare, and what does not end within four times that does not end."""


class _Word(BaseModel):
    """The answer to a control: whatever it says, the model has answered."""

    word: str


CONTROL_REQUEST = TextRequest("You answer in one word.", ("What is the colour of grass?",), schema_of(_Word), _Word, 256)


class TaskTextClient:
    """See ``tasks.clients.TextClient``."""

    def __init__(self, task: TaskContext, steps: Checkpoints, providers: Providers, account: BudgetLedger) -> None:
        self._task = task
        self._steps = steps
        self._providers = providers
        self._account = account

    async def write(self, prompt: Prompt, draft: type[DraftT], *, once: bool = False) -> DraftT:
        """Ask for a draft. What is damaged is asked again: with the error, if it was cut with more room, if by chance as it was."""
        most = MOST_ROOM * prompt.max_output_tokens
        for _ in range(0 if once else self._providers.max_reasks):
            try:
                return await self._once(prompt, draft)
            except InvalidAnswerError as error:
                if error.cut and prompt.max_output_tokens >= most:
                    raise
                logger.info("%s: asked again: %s", prompt.request_type, error)
                if error.cut:
                    prompt = prompt.with_more_room(ceiling=most)
                elif not error.chance:
                    prompt = prompt.with_complaints(str(error))
        return await self._once(prompt, draft)

    async def _once(self, prompt: Prompt, draft: type[DraftT]) -> DraftT:
        return await self._steps.run(
            partial(self._ask, prompt, draft),
            dump=lambda value: value.model_dump_json(),
            load=draft.model_validate_json,
        )

    async def _ask(self, prompt: Prompt, draft: type[DraftT]) -> DraftT:
        roster, patience = self._providers.roster, self._providers.patience
        while True:
            profile = await retry_on_outage(roster.current, patience_seconds=patience)
            room = min(prompt.max_output_tokens, profile.max_output_tokens)
            request = TextRequest(prompt.system, prompt.parts, prompt.schema, draft, room)
            try:
                return await self._providers.outside.call(self._call(prompt.request_type, request, profile), self._account)
            except (ModelMissingError, ParameterRefusedError, ModelReplacedError) as error:
                if not isinstance(error, ModelReplacedError) and await roster.current() == profile:
                    raise FatalCallError(
                        f"model {profile.id} cannot be asked, and is what takes over from its successor: set GEMINI_MODEL to a "
                        f"model that exists ({error})"
                    ) from error
                logger.info("%s: asked again: %s", prompt.request_type, error)
            finally:
                await retry_on_outage(roster.write_down, patience_seconds=patience)

    def _call(self, request_type: str, request: TextRequest[AnswerT], profile: ModelProfile) -> Call[AnswerT]:
        roster = self._providers.roster

        async def send() -> Answer[AnswerT]:
            answer = await self._providers.gemini.ask(request, profile)
            if version := answer.data.get("model"):
                roster.answered(profile, str(version))
            return answer

        return Call(
            api=Api.LLM,
            request_type=request_type,
            task_id=self._task.task_id,
            priority=self._task.priority,
            labels=labels_of(self._task),
            request_data={
                "model": profile.id,
                "system": request.system,
                "parts": list(request.parts),
                "schema": json.dumps(request.schema, ensure_ascii=False),
                "max_output_tokens": request.max_output_tokens,
            },
            send=send,
            worst_case_usd=roster.worst_price(profile).worst_case_usd(
                prompt_bytes=request.prompt_bytes, max_output_tokens=request.max_output_tokens
            ),
            attempt=partial(roster.attempt, profile),
            timeout_seconds=self._providers.timeouts.llm,
            control=None if request_type == CONTROL else self._call(CONTROL, CONTROL_REQUEST, profile),
            item_calls=self._task.item_calls,
        )
