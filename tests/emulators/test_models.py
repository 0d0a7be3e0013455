"""A20: the emulator is as strict about each model's parameters as the API."""

from __future__ import annotations

from typing import Any

import pytest

from emulators.gemini.api.errors import GoogleError
from emulators.gemini.api.models import MODELS
from emulators.gemini.api.rules import check
from emulators.gemini.api.wire import GenerateRequest
from resources.gemini.image_models import image_models
from resources.gemini.models import model_profiles

pytestmark = pytest.mark.case("A20")

BUDGETS = frozenset({"gemini-2.5-flash", "gemini-2.5-flash-lite"})
ALL = frozenset(name for name, model in MODELS.items() if not model.makes_pictures)
WITH_MINIMAL = ALL - BUDGETS - {"gemini-3.7-flash", "gemini-3.8-flash", "gemini-4-argon"}
USER = {"role": "user", "parts": [{"text": "A village"}]}


def accepted(model: str, config: dict[str, Any], *turns: dict[str, Any]) -> bool:
    try:
        check(GenerateRequest.model_validate({"contents": [USER, *turns], "generation_config": config}), MODELS[model])
    except GoogleError as error:
        return error.code != 400
    return True


@pytest.mark.parametrize("model", sorted(ALL))
@pytest.mark.parametrize(
    ("config", "turns", "by"),
    [
        pytest.param({}, [], ALL, id="nothing said"),
        pytest.param({"thinking_config": {"thinking_budget": 0}}, [], BUDGETS | {"gemini-3.1-flash-lite"}, id="budget 0"),
        pytest.param({"thinking_config": {"thinking_level": "MINIMAL"}}, [], WITH_MINIMAL, id="level minimal"),
        pytest.param({"thinking_config": {"thinking_level": "LOW"}}, [], ALL - BUDGETS, id="level low"),
        pytest.param({"thinking_config": {"thinking_level": "LOW", "thinking_budget": 100}}, [], frozenset(), id="both"),
        pytest.param({"frequency_penalty": 0.5}, [], frozenset(), id="a penalty"),
        pytest.param({"temperature": 1.5, "top_p": 0.5, "top_k": 3}, [], ALL, id="sampling, ignored by the later ones"),
        pytest.param({"max_output_tokens": 65_536}, [], ALL - {"gemini-4-argon"}, id="65,536 tokens of output"),
        pytest.param({}, [{"role": "model", "parts": [{"text": "Once"}]}], BUDGETS, id="a last turn of the model"),
    ],
)
def test_each_model_refuses_exactly_the_parameters_it_does_not_support(
    model: str, config: dict[str, Any], turns: list[dict[str, Any]], by: frozenset[str]
) -> None:
    """An unsupported parameter gets a 400, on exactly the models that do not support it."""
    assert accepted(model, config, *turns) is (model in by)


def test_the_emulator_has_every_model_that_can_be_configured() -> None:
    """`make demo` works with every value of GEMINI_MODEL and IMAGE_MODEL, and with every successor."""
    assert set(model_profiles()) == ALL
    assert {name for name, model in image_models().items() if model.until is None} == set(MODELS) - ALL
