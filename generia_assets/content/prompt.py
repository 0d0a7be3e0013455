"""One request to the language model, as data: what is said, which shape the answer must have, how much room it gets."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from generia_assets.content.delimiter import defused
from generia_assets.content.text import cut

LONGEST_COMPLAINT = 800
"""Characters; what is wrong about an answer may quote much of it."""


@dataclass(frozen=True)
class Prompt:
    """A request for one draft.

    ``system`` and ``world`` are byte-identical for all requests of a world, so that the provider's implicit cache can hit;
    ``item`` comes last and is the only part that differs. ``complaints`` are told after it when an earlier answer was wrong.
    ``schema`` is the JSON schema of the answer, without ``$ref``.
    """

    request_type: str
    system: str
    world: str
    item: str
    schema: dict[str, object]
    max_output_tokens: int
    complaints: tuple[str, ...] = field(default=())

    @property
    def parts(self) -> tuple[str, ...]:
        """What is sent, in order: the part that repeats first, then the item, then what was wrong about earlier answers."""
        wrong = "\n".join(f"- {complaint}" for complaint in self.complaints)
        again = f"Your last answer could not be used. Answer again in full, and mend this:\n{wrong}" if wrong else ""
        return tuple(part for part in (self.world, self.item, again) if part)

    def with_complaints(self, *complaints: str) -> Prompt:
        """The same request, with what was wrong about the last answer.

        A complaint quotes names and ideas of the model, and a refusal's reason: no tag in them opens or closes anything.
        """
        return replace(
            self, complaints=(*self.complaints, *(cut(defused(complaint), LONGEST_COMPLAINT) for complaint in complaints))
        )

    def with_more_room(self, *, ceiling: int) -> Prompt:
        """The same request with twice the output tokens, at most ``ceiling``, for an answer that was cut short."""
        return replace(self, max_output_tokens=min(ceiling, 2 * self.max_output_tokens))
