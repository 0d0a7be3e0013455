"""Task type ``generate_post_batch``: the ideas of up to ten posts of one character, in the order of their life (R4). One call."""

from collections.abc import Sequence
from functools import partial

from generia_assets.content import ask_posts
from generia_assets.content.documents import Acquaintance, Character, FrozenModel, PostBrief, WorldDescription, WorldRequest
from generia_assets.content.drafts import IdeasDraft, in_language
from generia_assets.content.fields import by_number
from generia_assets.content.keys import post_key
from generia_assets.content.rendering import complaint
from generia_assets.content.similarity import COPY, REPEATED_IDEA, Ideas
from generia_assets.content.storyline import MADE_EARLIER, Slot, wishes_of
from generia_assets.content.text import cut
from generia_assets.tasks.clients import TaskClients
from generia_assets.tasks.fallback_chain import MOST_ANSWERS, MOST_REFUSALS, STRICT_ANSWERS
from generia_assets.tasks.task_definition import BatchParameters, UnfitTaskError, durable_task
from resources.gateway.outcomes import InvalidAnswerError, LostCallAllowanceError, RefusedError


class PostBriefs(FrozenModel):
    """The ideas of one batch, in the order of the character's life."""

    briefs: tuple[PostBrief, ...]


def brief_of(
    slot: Slot,
    character: Character,
    world: WorldDescription,
    acquaintances: Sequence[Acquaintance],
    wishes: Sequence[str],
    idea: str = "",
    *,
    moderation: str = "",
) -> PostBrief:
    """The brief of a slot with this idea; without one the idea is the plan's: a form, an event and a wish."""
    made = PostBrief(
        key=post_key(character.key, slot.order),
        character=character.key,
        username=character.username,
        order=slot.order,
        t=slot.t,
        after=slot.after,
        moment="" if slot.later else slot.moment,
        idea=idea,
        form=slot.form.name,
        event=world.calendar[slot.event - 1].name if slot.event else "",
        wish=wishes[slot.wish - 1],
        in_reply_to=slot.reply_to,
        mentions=(acquaintances[slot.partner - 1].username,) if slot.partner else (),
        moderation=moderation,
    )
    return made if idea else made.model_copy(update={"idea": made.of_plan})


@durable_task
async def generate_post_batch(
    parameters: BatchParameters,
    clients: TaskClients,
    request: WorldRequest,
    world: WorldDescription,
    character: Character,
    acquaintances: Sequence[Acquaintance],
    earlier: Ideas,
) -> PostBriefs:
    """Plan exactly the posts asked for.

    A person with one post has no story to plan: the slot itself is the brief, without a call. Missing ideas are asked for again,
    surplus ones cut, repeats sent back with the reason, refused requests made in softer words. After ``MOST_REFUSALS`` refusals, or
    without lost-call allowance, the rest is planned without the model.

    Args:
        earlier: all ideas of this character's former batches.

    Raises:
        InvalidAnswerError: ``MOST_ANSWERS`` answers did not suffice.
        UnfitTaskError: the stored person has another number of posts than the plan of this version.
    """
    slots = ask_posts.line_of(request, world, character).slots
    brief = partial(brief_of, character=character, world=world, acquaintances=acquaintances, wishes=wishes_of(request, world))
    if character.posts_count != len(slots):
        raise UnfitTaskError(
            f"{character.key} has {character.posts_count} posts, and this version plans {len(slots)}: {MADE_EARLIER}"
        )
    if character.posts_count == 1:
        return PostBriefs(briefs=(brief(slots[0]),))
    made: dict[int, PostBrief] = {}
    made_ideas = Ideas()
    complaints: list[str] = []
    softened = refused_for = ""
    refusals = 0
    for answer in range(MOST_ANSWERS):
        threshold = REPEATED_IDEA if answer < STRICT_ANSWERS else COPY
        missing = [number for number in range(1, parameters.count + 1) if number not in made]
        prompt = ask_posts.post_batch(
            request,
            world,
            character,
            acquaintances,
            first=parameters.first,
            numbers=missing,
            earlier=earlier,
            made=[made[number] for number in sorted(made)],
            softened=softened,
        ).with_complaints(*complaints)
        try:
            draft = await clients.text.write(prompt, in_language(IdeasDraft, world.user_preferences.language))
        except (RefusedError, LostCallAllowanceError) as error:
            if isinstance(error, RefusedError):
                refusals, refused_for = refusals + 1, error.reason
            elif not refusals:
                raise
            if refusals == MOST_REFUSALS or isinstance(error, LostCallAllowanceError):
                for number in missing:
                    refused = f"the model's ideas were refused by moderation: {refused_for}"
                    made[number] = brief(slots[parameters.first + number - 1], moderation=refused)
                return PostBriefs(briefs=tuple(made[number] for number in sorted(made)))
            # The number is in the request, too: the very same request would be refused again.
            softened, complaints = f"{refused_for}; {refusals} so far" if refusals > 1 else refused_for, []
            continue
        complaints = []
        answered = by_number(draft.ideas, missing)
        for number, idea in answered.items():
            if earlier.repeats(idea.idea, threshold) or made_ideas.repeats(idea.idea, threshold):
                complaints.append(complaint("repeated", number=number, name=cut(idea.idea, 60)))
                continue
            made[number] = brief(slots[parameters.first + number - 1], idea=idea.idea)
            made_ideas.add(made[number])
        if len(made) == parameters.count:
            return PostBriefs(briefs=tuple(made[number] for number in sorted(made)))
        unanswered = [number for number in missing if number not in answered]
        if unanswered:
            complaints.append(complaint("missing", numbers=unanswered))
    raise InvalidAnswerError(
        f"{MOST_ANSWERS} answers gave {len(made)} of the {parameters.count} ideas of {parameters.key}; "
        f"the last problem: {' '.join(complaints)}"
    )
