"""Task type ``generate_character_batch``: the concepts and names of up to ten people, unlike all before them (R4). One call."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence

from pydantic import BaseModel, ConfigDict, Field

from generia_assets.content import ask_people, banlist, languages
from generia_assets.content.axes import character_axes, years
from generia_assets.content.documents import CharacterBrief, WorldDescription, WorldRequest
from generia_assets.content.drafts import ConceptDraft, ConceptsDraft, in_language
from generia_assets.content.fallback_characters import fallback_character
from generia_assets.content.fields import by_number
from generia_assets.content.keys import character_key, self_key
from generia_assets.content.names import CharacterIndex, mixes_alphabets, username
from generia_assets.content.rendering import complaint
from generia_assets.content.shares import BATCH, shares
from generia_assets.content.similarity import COPY, NEAR_DUPLICATE
from generia_assets.tasks.clients import TaskClients
from generia_assets.tasks.fallback_chain import MILD_AFTER, MOST_REFUSALS
from generia_assets.tasks.regenerate_character import PreviousCharacter, regenerate_concept
from generia_assets.tasks.task_definition import TaskParameters, durable_task
from resources.gateway.outcomes import InvalidAnswerError, RefusedError

log = logging.getLogger(__name__)

MOST_ANSWERS = 6
"""Answers asked for one batch before it has failed."""
STRICT_ANSWERS = 3
"""Answers in which a worn-out name, one in another script than the world's, or a concept much like another is sent back. After them
only copies and mixed alphabets are: a dull person is better than no world."""


class CharacterBatchParameters(TaskParameters):
    """Which people: ``count`` (1 to 10) from index ``first``.

    ``key`` is ``b000`` for the first batch, and ``c0007`` when the eighth person alone is invented anew.
    """

    first: int = Field(ge=0)
    count: int = Field(ge=1, le=BATCH)


class CharacterBriefs(BaseModel):
    """The concepts of one batch, in the order of their indices. ``worn``: what in them trips the ban list, for counting."""

    model_config = ConfigDict(frozen=True)

    briefs: tuple[CharacterBrief, ...]
    worn: tuple[str, ...] = ()


def _objection(
    number: int,
    draft: ConceptDraft,
    taken: tuple[CharacterIndex, CharacterIndex],
    world: WorldDescription,
    wished: str,
    *,
    strict: bool,
) -> str:
    """Why this person cannot be taken as they are, or ''. ``wished``: the user's sentence, whose words are never worn out."""
    handle, language = username(draft.username), world.user_preferences.language
    if not handle:
        return complaint("nameless", number=number, name=draft.username)
    if mixed := next(filter(mixes_alphabets, (draft.display_name, handle)), ""):
        return complaint("mixed", number=number, name=mixed)
    script = languages.checked_script(language)
    if strict and script and not languages.is_native(draft.display_name, script):
        return complaint("script", number=number, name=draft.display_name, language=language)
    if any(roster.has(handle, draft.display_name) for roster in taken):
        return complaint("taken", number=number, name=f"{draft.display_name} (@{handle})")
    threshold = NEAR_DUPLICATE if strict else COPY
    if told := next(filter(None, (roster.told_by(draft.concept, threshold) for roster in taken)), ""):
        return complaint("same_person", number=number, name=told)
    names = f"{draft.display_name} {draft.username.replace('_', ' ')}"
    if strict and (worn := banlist.find_banned_names(names, language, wished=wished)):
        return complaint("banned", number=number, name=draft.display_name, found=worn)
    return ""


def _with_facts(made: Mapping[int, CharacterBrief], facts: Mapping[str, dict[str, str]]) -> list[CharacterBrief]:
    """The batch in order, each with what happened between them and others. ``facts``: by their keys."""
    return [made[number].model_copy(update={"facts": facts.get(made[number].key, {})}) for number in sorted(made)]


def _counted(briefs: Sequence[CharacterBrief], request: WorldRequest, language: str) -> CharacterBriefs:
    """The batch, with what in it is worn out."""
    told = "\n".join(f"{brief.display_name}. {brief.concept}" for brief in briefs)
    return CharacterBriefs(briefs=tuple(briefs), worn=tuple(banlist.find_banned(told, language, wished=request.user_prompt)))


@durable_task
async def generate_character_batch(
    parameters: CharacterBatchParameters,
    clients: TaskClients,
    request: WorldRequest,
    world: WorldDescription,
    roster: CharacterIndex,
    former: PreviousCharacter | None = None,
) -> CharacterBriefs:
    """Invent exactly the people asked for; ``roster`` knows everybody of the earlier batches.

    Too few are asked for again, too many cut, names that exist or are worn out and people who exist asked for again with the
    reason. Refused: asked for other people, then without what may be the cause; who is refused ``MOST_REFUSALS`` times is who was
    drawn. ``former``: the one person who becomes somebody else and keeps the name. Raises InvalidAnswerError when ``MOST_ANSWERS``
    answers did not suffice.
    """
    language = world.user_preferences.language
    if former is not None:
        return _counted([await regenerate_concept(clients, request, world, former)], request, language)
    posts = shares(request.seed, request.users_count, request.posts_count)
    made: dict[int, CharacterBrief] = {}
    facts: defaultdict[str, dict[str, str]] = defaultdict(dict)
    made_names = CharacterIndex()
    complaints: list[str] = []
    refusals = 0
    for answer in range(MOST_ANSWERS):
        missing = [number for number in range(1, parameters.count + 1) if number not in made]
        mild = refusals >= MILD_AFTER
        known = ask_people.by_index((*roster.latest, *made.values()))
        ties = () if mild else ask_people.ties_to_tell(request, missing, parameters.first, known)
        prompt = ask_people.character_batch(
            request,
            world,
            first=parameters.first,
            numbers=missing,
            roster=roster,
            made=tuple(made.values()),
            mild=mild,
        ).with_complaints(*complaints)
        try:
            draft = await clients.text.write(prompt, in_language(ConceptsDraft, language))
        except RefusedError as refusal:
            # Which of the people was refused is not told, so all that are missing become other people.
            log.warning("concepts %s were refused (%s); asking for others", parameters.key, refusal.reason)
            refusals += 1  # told, too: the very same request would be refused again
            if refusals == MOST_REFUSALS:
                for number in missing:
                    index = parameters.first + number - 1
                    made[number] = fallback_character(
                        request, world, index, posts[index], refusal.reason, lambda *who: roster.has(*who) or made_names.has(*who)
                    )
                    made_names.add(made[number])
                return _counted(_with_facts(made, facts), request, language)
            complaints = [complaint("refused", reason=refusal.reason, times=refusals)]
            continue
        complaints = []
        settled = by_number(draft.people, missing)
        for number, person in settled.items():
            taken, strict = (roster, made_names), answer < STRICT_ANSWERS
            if objection := _objection(number, person, taken, world, request.user_prompt, strict=strict):
                complaints.append(objection)
                continue
            index = parameters.first + number - 1
            made[number] = CharacterBrief(
                key=character_key(index),
                username=username(person.username),
                display_name=person.display_name,
                concept=person.concept,
                one_line=person.one_line,
                kind=person.kind,
                age=person.age,
                years=years(request.seed, index),
                trade=person.trade,
                look=person.look,
                axes=character_axes(request.seed, index),
                posts_count=posts[index],
            )
            made_names.add(made[number])
        known |= ask_people.by_index(tuple(made.values()))
        for slot, tie in zip(ask_people.tie_slots(ties), ties, strict=True):
            # Where one of the two was not taken the fact tells of the wrong one: it is asked for again, with whoever is.
            if slot in draft.ties and tie.elder in known and tie.newer in known:
                elder = known[tie.elder]
                facts[known[tie.newer].key][self_key(elder.key, elder.selves)] = draft.ties[slot]
        if len(made) == parameters.count:
            return _counted(_with_facts(made, facts), request, language)
        unanswered = [number for number in missing if number not in settled]
        if unanswered:
            complaints.append(complaint("missing", numbers=unanswered))
    raise InvalidAnswerError(
        f"{MOST_ANSWERS} answers gave {len(made)} of the {parameters.count} people of batch {parameters.key}; "
        f"the last problem: {' '.join(complaints)}"
    )
