"""Task type ``generate_character_batch``: the concepts and names of up to ten people, unlike all before them (R4). One call.

Or the new concept of one person under the same name: the name stays because published posts of others mention it, and the platform
cannot change them. The program's random choices for the person are new ones, too.
"""

import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count

from generia_assets.content import ask_people, banlist, languages, seeding
from generia_assets.content.axes import OR, character_axes, years
from generia_assets.content.documents import Acquaintance, CharacterBrief, FrozenModel, PlotStep, WorldDescription, WorldRequest
from generia_assets.content.drafts import ConceptDraft, ConceptsDraft, RegeneratedConceptDraft, in_language
from generia_assets.content.fields import by_number
from generia_assets.content.keys import character_index, character_key, self_key
from generia_assets.content.names import CharacterIndex, mixes_alphabets, username
from generia_assets.content.plot import plot_posts
from generia_assets.content.rendering import complaint
from generia_assets.content.shares import shares
from generia_assets.content.similarity import COPY, NEAR_DUPLICATE, similarity
from generia_assets.content.text import one_line, sentence
from generia_assets.tasks.clients import TaskClients
from generia_assets.tasks.fallback_chain import MILD_AFTER, MOST_ANSWERS, MOST_REFUSALS, STRICT_ANSWERS
from generia_assets.tasks.task_definition import BatchParameters, durable_task
from resources.gateway.outcomes import InvalidAnswerError, RefusedError

log = logging.getLogger(__name__)

MOST_REGENERATED = 4
"""Answers asked for one regenerated person before the attempt has failed."""
_CONCEPT_AXES = 4
_LINE_AXES = 2
"""Axes, in the file's order, that make a concept and its one line."""


class CharacterBriefs(FrozenModel):
    """The concepts of one batch, in the order of their indices. ``worn``: the banned terms in them, for counting."""

    briefs: tuple[CharacterBrief, ...]
    worn: tuple[str, ...] = ()


@dataclass(frozen=True)
class PreviousCharacter:
    """The previous person of this name, their acquaintances, and the people who stay as they are."""

    brief: CharacterBrief
    others: Sequence[CharacterBrief]
    acquaintances: Sequence[Acquaintance]


def _brief(request: WorldRequest, index: int, **invented: str) -> CharacterBrief:
    """The brief of a person, of what is ``invented`` and what the program has drawn."""
    return CharacterBrief(
        key=character_key(index),
        years=years(request.seed, index),
        axes=character_axes(request.seed, index),
        posts_count=shares(request.seed, *request.size)[index],
        **invented,
    )


def fallback_character(
    request: WorldRequest, world: WorldDescription, index: int, reason: str, taken: Sequence[CharacterIndex]
) -> CharacterBrief:
    """A person made of the program's random choices, where moderation refuses the model's; their name is not in ``taken``.

    The values are English, like everything in prompts, and readers see them only in traces: the person is written from them, in the
    world's language; if that is refused, too, a fixed sentence replaces the text (``Language.untold``).
    """
    free = (names for names in _names(world, request.seed, index) if not any(characters.has(*names) for characters in taken))
    handle, name = next(free)
    brief = _brief(request, index, username=handle, display_name=name, concept="", one_line="")
    return fallback_life(brief, brief.axes, reason)


def fallback_life(brief: CharacterBrief, drawn: Mapping[str, str], reason: str) -> CharacterBrief:
    """The same person with these values as the concept, marked with the ``reason`` of the refusal."""
    # What the account is about comes first; of values to choose from the first one is taken.
    values = [value.partition(OR)[0] for _, value in sorted(drawn.items(), key=lambda axis: axis[0] != "work")]
    return brief.model_copy(
        update={
            "concept": " ".join(sentence(value[:1].upper() + value[1:]) for value in values[:_CONCEPT_AXES]),
            "one_line": "; ".join(values[:_LINE_AXES]),
            "axes": dict(drawn),
            **dict.fromkeys(("kind", "age", "trade", "look"), ""),
            "facts": {},
            "moderation": f"drawn by lot, the model's concepts were refused by moderation: {reason}",
        }
    )


def _names(world: WorldDescription, seed: int, index: int) -> Iterator[tuple[str, str]]:
    """Endless usernames and display names: the world's examples of names, their parts recombined, then with numbers."""
    examples = [name for name in world.naming.examples if name.strip()] or [world.name]
    seeding.seeded_rng(seed, "stand-in", index).shuffle(examples)
    mixed = [f"{one.split()[0]} {' '.join(other.split()[1:]) or other}" for one in examples for other in examples if one != other]
    for name in (*examples, *mixed):
        # Usernames are Latin; a name in another script is not transcribed, which would take knowing the language.
        yield username(name) if name.isascii() and username(name) else f"someone_{index + 1}", name
    for number in count(2):
        for name in examples:
            yield f"someone_{index + 1}_{number}", f"{name} {number}"


def _objection(
    number: int,
    draft: ConceptDraft,
    taken: Sequence[CharacterIndex],
    world: WorldDescription,
    wished: str,
    *,
    strict: bool,
) -> str:
    """Why this person is not accepted, or ''. ``wished``: the user's sentence, whose words are allowed."""
    handle, language = username(draft.username), world.user_preferences.language
    if not handle:
        return complaint("nameless", number=number, name=draft.username)
    if mixed := next(filter(mixes_alphabets, (draft.display_name, handle)), ""):
        return complaint("mixed", number=number, name=mixed)
    script = languages.checked_script(language)
    if strict and script and not languages.is_native(draft.display_name, script):
        return complaint("script", number=number, name=draft.display_name, language=language)
    if any(characters.has(handle, draft.display_name) for characters in taken):
        return complaint("taken", number=number, name=f"{draft.display_name} (@{handle})")
    threshold = NEAR_DUPLICATE if strict else COPY
    if similar := next(filter(None, (characters.name_of_similar(draft.concept, threshold) for characters in taken)), ""):
        return complaint("same_person", number=number, name=similar)
    names = f"{draft.display_name} {draft.username.replace('_', ' ')}"
    if strict and (worn := banlist.find_banned(names, language, wished=wished, kinds=("names",))):
        return complaint("banned", number=number, name=draft.display_name, found=worn)
    return ""


def _counted(briefs: Sequence[CharacterBrief], request: WorldRequest, language: str) -> CharacterBriefs:
    text = "\n".join(f"{brief.display_name}. {brief.concept}" for brief in briefs)
    return CharacterBriefs(briefs=tuple(briefs), worn=tuple(banlist.find_banned(text, language, wished=request.user_prompt)))


async def regenerate_concept(
    clients: TaskClients, request: WorldRequest, world: WorldDescription, former: PreviousCharacter
) -> CharacterBrief:
    """A new concept for the same key, name and share of the posts.

    After a refusal a different concept is asked for, then without the parts that may be the cause; after ``MOST_REFUSALS`` refusals
    the concept consists of the program's random choices.

    Raises:
        InvalidAnswerError: ``MOST_REGENERATED`` answers were similar to the former person or to another one.
    """
    brief = former.brief
    selves = brief.selves + 1
    axes = character_axes(request.seed, character_index(brief.key), selves)
    draft_class = in_language(RegeneratedConceptDraft, world.user_preferences.language)
    complaints: list[str] = []
    refusals = 0
    for _ in range(MOST_REGENERATED):
        mild = refusals >= MILD_AFTER
        prompt = ask_people.regenerated_concept(request, world, brief, former.others, former.acquaintances, mild=mild)
        try:
            draft = await clients.text.write(prompt.with_complaints(*complaints), draft_class)
        except RefusedError as refusal:
            log.warning("another concept for %s was refused (%s); asking for a different one", brief.key, refusal.reason)
            refusals += 1
            if refusals == MOST_REFUSALS:
                return fallback_life(brief, axes, refusal.reason).model_copy(update={"selves": selves})
            complaints = [complaint("refused", reason=refusal.reason, times=refusals)]
            continue
        like = next((old for old in (brief, *former.others) if similarity(draft.concept, old.concept) >= NEAR_DUPLICATE), None)
        if like is None:
            slots = zip(ask_people.slots_of("person", former.acquaintances), former.acquaintances, strict=True)
            new = {
                **draft.model_dump(exclude={"obvious", "ties"}),
                "facts": {self_key(other.key, other.selves): draft.ties[slot] for slot, other in slots if slot in draft.ties},
                "axes": axes,
                "selves": selves,
                "moderation": "",
            }
            return brief.model_copy(update=new)
        complaints = [complaint("same_concept", name=f"{like.display_name} (@{like.username})")]
    raise InvalidAnswerError(
        f"{MOST_REGENERATED} answers gave no new concept for {brief.key}; the last problem: {' '.join(complaints)}"
    )


@durable_task
async def generate_character_batch(
    parameters: BatchParameters,
    clients: TaskClients,
    request: WorldRequest,
    world: WorldDescription,
    characters: CharacterIndex,
    former: PreviousCharacter | None = None,
) -> CharacterBriefs:
    """Invent exactly the people asked for.

    Missing people are asked for again, surplus ones cut; taken or banned names and similar people are sent back with the reason.
    After a refusal other people are asked for, then without the parts that may be the cause; after ``MOST_REFUSALS`` refusals
    fallback characters, made of the program's random choices, replace those that are missing.

    Args:
        characters: all people of the earlier batches.
        former: the one person to regenerate under the same name; None: a batch.

    Raises:
        InvalidAnswerError: ``MOST_ANSWERS`` answers did not suffice.
    """
    language = world.user_preferences.language
    if former is not None:
        return _counted([await regenerate_concept(clients, request, world, former)], request, language)
    made: dict[int, CharacterBrief] = {}
    facts: defaultdict[str, dict[str, str]] = defaultdict(dict)
    """What happened between people, by the key of the one who came later."""
    taken = characters, CharacterIndex()
    complaints: list[str] = []
    refusals = 0

    def add(number: int, brief: CharacterBrief) -> None:
        made[number] = brief
        taken[1].add(brief)

    def finished(plot: tuple[PlotStep, ...] = ()) -> CharacterBriefs:
        briefs = []
        for number, brief in sorted(made.items()):
            theirs = plot if plot_posts(request.seed, request.size, parameters.first + number - 1) else ()  # none of an extension's
            briefs.append(brief.model_copy(update={"facts": facts[brief.key], "plot": theirs}))
        return _counted(briefs, request, language)

    for answer in range(MOST_ANSWERS):
        missing = [number for number in range(1, parameters.count + 1) if number not in made]
        mild = refusals >= MILD_AFTER
        known = ask_people.by_index((*characters.latest, *made.values()))
        ties = () if mild else ask_people.ties_to_describe(request, missing, parameters.first, known)
        steps = () if mild else ask_people.steps_to_invent(request, world, parameters.first)
        prompt = ask_people.character_batch(
            request, world, first=parameters.first, numbers=missing, characters=characters, made=tuple(made.values()), mild=mild
        ).with_complaints(*complaints)
        try:
            draft = await clients.text.write(prompt, in_language(ConceptsDraft, language))
        except RefusedError as refusal:
            # The refusal does not say which person caused it, so all that are missing become other people.
            log.warning("concepts %s were refused (%s); asking for others", parameters.key, refusal.reason)
            refusals += 1  # in the complaint, too: the very same request would be refused again
            if refusals == MOST_REFUSALS:
                for number in missing:
                    add(number, fallback_character(request, world, parameters.first + number - 1, refusal.reason, taken))
                return finished()
            complaints = [complaint("refused", reason=refusal.reason, times=refusals)]
            continue
        complaints = []
        answered = by_number(draft.people, missing)
        for number, person in answered.items():
            if objection := _objection(number, person, taken, world, request.user_prompt, strict=answer < STRICT_ANSWERS):
                complaints.append(objection)
                continue
            invented = person.model_dump(exclude={"number", "obvious", "username"})
            add(number, _brief(request, parameters.first + number - 1, username=username(person.username), **invented))
        known |= ask_people.by_index(tuple(made.values()))
        for slot, tie in zip(ask_people.slots_of("tie", ties), ties, strict=True):
            # If one of the two was sent back, the fact is about the wrong person: it is asked for again.
            if slot in draft.ties and tie.elder in known and tie.newer in known:
                elder = known[tie.elder]
                facts[known[tie.newer].key][self_key(elder.key, elder.selves)] = draft.ties[slot]
        if len(made) == parameters.count:
            # Of this answer alone: an earlier one told of people who were sent back.
            tellers = zip(ask_people.slots_of("step", steps), steps, strict=True)
            return finished(
                tuple(PlotStep(t=step.t, what=one_line(draft.plot[slot])) for slot, step in tellers if slot in draft.plot)
            )
        if unanswered := [number for number in missing if number not in answered]:
            complaints.append(complaint("missing", numbers=unanswered))
    raise InvalidAnswerError(
        f"{MOST_ANSWERS} answers gave {len(made)} of the {parameters.count} people of batch {parameters.key}; "
        f"the last problem: {' '.join(complaints)}"
    )
