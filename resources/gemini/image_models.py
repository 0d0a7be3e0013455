"""Gemini's models that make pictures (image_models.yaml): what a picture costs, the end of a model and its successor.

None of this opens a client, so that a quote can ask for a price. Not here: how a table is read (models.py), and requests
(images.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from pathlib import Path

from pydantic import Field

from resources.gemini.models import RESERVED_AHEAD, DatedPrice, Dollars, TableEntry, dearest, entry_of, line_of, read_table

TABLE = Path(__file__).parent / "image_models.yaml"

MOST_OUTPUT_TOKENS = 4096
"""Asked for in each request: one picture, up to two drafts of it that a model makes while it thinks, and its thoughts."""
MOST_INPUT_TOKENS = 12_000
"""A request that may have more is not sent. Our prompts have up to 2,000 bytes, and each reference picture has
``REFERENCE_TOKENS``."""
REFERENCE_TOKENS = 1_120
USUAL_INPUT_TOKENS = 1_500
"""A prompt and, often, one reference picture."""

ASPECT_RATIOS = ("1:1", "3:2", "2:3", "3:4", "4:3", "4:5", "5:4", "9:16", "16:9", "21:9")
"""Those that all of these models take."""


class ImagePrice(DatedPrice):
    """US dollars per million tokens, from a day on; ``image``: output tokens of pictures."""

    input: Dollars
    output: Dollars
    image: Dollars

    def cost_usd(self, *, input_tokens: int, output_tokens: int, image_tokens: int) -> float:
        """What these tokens cost; ``output_tokens`` without those of pictures."""
        return (input_tokens * self.input + output_tokens * self.output + image_tokens * self.image) / 1e6


class ImageModel(TableEntry[ImagePrice]):
    """A model that makes pictures."""

    picture_tokens: int = Field(ge=1)

    def usual_usd(self, moment: datetime) -> float:
        """What one picture usually costs, in US dollars: for quotes."""
        price = self.price(moment)
        return price.cost_usd(input_tokens=USUAL_INPUT_TOKENS, output_tokens=0, image_tokens=self.picture_tokens)


@cache
def image_models() -> Mapping[str, ImageModel]:
    """All models by id. Raises ``ModelTableError``."""
    return read_table(TABLE, ImageModel)


def asked_at(model: str, moment: datetime) -> ImageModel:
    """The model to ask where this one is configured: itself, or the first successor that has not ended."""
    return next(one for one in line_of(image_models(), model) if not one.ended(moment))


def worst_case_usd(model: str, moment: datetime) -> float:
    """The most that one picture can cost, whoever of the model's line makes it."""
    price = dearest(one.price(moment, moment + RESERVED_AHEAD) for one in line_of(image_models(), model))
    return price.cost_usd(input_tokens=MOST_INPUT_TOKENS, output_tokens=0, image_tokens=MOST_OUTPUT_TOKENS)


def price_of(version: str, asked: ImageModel, first: datetime, last: datetime) -> ImagePrice:
    """What a picture costs that this ``modelVersion`` made; the dearest of the table for one that we do not know."""
    made_by = entry_of(image_models(), version) if version else asked
    return made_by.price(first, last) if made_by else dearest(one.price(first, last) for one in image_models().values())


def nearest_ratio(width: int, height: int) -> str:
    """The aspect ratio that is nearest to this size, by the factor between the two."""

    def distance(ratio: str) -> float:
        across, down = map(int, ratio.split(":"))
        factor = (width * down) / (height * across)
        return max(factor, 1 / factor)

    return min(ASPECT_RATIOS, key=distance)
