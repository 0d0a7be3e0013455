"""Drafts: the classes of the model's answers, one for each request.

Here: the shape of answers, and the check of their language. Not here: which fields refuse an answer and which are repaired
(fields.py), instructions for the fields (prompts/*.j2), JSON schemas (prompt.py), documents made of drafts (the tasks).

Where the count of an array matters (people, ideas) a draft accepts any count: the task handles too few and too many. Fields of a
draft are in the order in which the model writes them: those it must think about first stand first.
"""

from __future__ import annotations

from functools import cache
from typing import Annotated, ClassVar, Self, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, model_validator

from generia_assets.content import languages
from generia_assets.content.fields import (
    Bio,
    Description,
    Entries,
    Label,
    Labels,
    Line,
    Lines,
    Name,
    Note,
    Notes,
    Number,
    Passage,
    ShortNote,
    Story,
    Ties,
    Words,
)

SHORT_POST = 24
"""Characters of a post's own words (``languages.own_words``) up to which its language is not checked."""

FEWEST_EVENTS, MOST_EVENTS = 5, 12

DraftT = TypeVar("DraftT", bound="Draft")


class Draft(BaseModel):
    """Base of every draft: fields by name, unknown ones ignored, and a check of the language where it is known."""

    model_config = ConfigDict(frozen=True)

    language: ClassVar[str] = ""
    shown: ClassVar[tuple[str, ...]] = ()
    """The fields for readers."""

    def expected_language(self) -> str:
        """The English name of the language this answer must be in; '' when anything goes."""
        return type(self).language

    def readable(self) -> dict[str, str]:
        """The texts for readers, by a name that a complaint can use; each must be in the expected language."""
        values = {name: getattr(self, name) for name in self.shown}
        return {name: "\n".join(value) if isinstance(value, list) else value for name, value in values.items()}

    @model_validator(mode="after")
    def _is_in_its_language(self) -> Self:
        language = self.expected_language()
        script = languages.checked_script(language)
        if script is None:
            return self
        found = {name: languages.wrong_letters(text, script) for name, text in self.readable().items()}
        if foreign := [f"{name} has {wrong}" for name, wrong in found.items() if wrong]:
            raise ValueError(
                f"write in {language}, the language of this world, in {languages.letters_of(script)} "
                f"(@usernames, #tags and links stay as they are): {'; '.join(foreign)}"
            )
        return self


@cache
def in_language(draft: type[DraftT], language: str) -> type[DraftT]:
    """A subclass of the draft whose validation requires this language's script in all texts for readers.

    The class keeps its name for logs and errors.
    """
    return type(draft.__name__, (draft,), {"language": language, "__module__": draft.__module__, "__doc__": draft.__doc__})


class EventDraft(Draft):
    """An event of the calendar."""

    name: Label
    moment: Line
    what_happens: Passage
    who_cares: Passage
    days: Words = []


class WishDraft(Draft):
    """One idea of the user's sentence, and what it does to daily life."""

    idea: Line
    daily: Note = ""


def _enough(calendar: list[EventDraft]) -> list[EventDraft]:
    if len(calendar) < FEWEST_EVENTS:
        raise ValueError(f"must hold {FEWEST_EVENTS} events at least that can be used, not {len(calendar)}")
    return calendar[:MOST_EVENTS]


class WorldDraft(Draft):
    """Answer to ``world_description``."""

    shown = ("description_short", "paragraphs")
    content_language: Label
    wishes: Entries[WishDraft] = []
    obvious: Note = ""
    name: Name
    description_short: Line
    theme: Line
    paragraphs: Description
    technology_level: Passage
    social_structure: Passage
    culture: Passage
    geography: Passage
    history: Passage
    climate: Note = ""
    resources: Note = ""
    conflicts: Note = ""
    traditions: Note = ""
    technology: Note = ""
    magic_system: Note = ""
    time_period: ShortNote = ""
    languages_spoken: Note = ""
    custom_details: Words = []
    hashtags: Words = []
    common_activities: Labels
    typical_stories: Labels
    naming_rules: Note = ""
    naming_examples: Words = []
    calendar: Annotated[Entries[EventDraft], AfterValidator(_enough)]
    visual_style: Line

    def expected_language(self) -> str:
        return type(self).language or languages.canonical(self.content_language)


class WorldImagesDraft(Draft):
    """Answer to ``world_images``."""

    header_prompt: Passage
    icon_prompt: Passage


class ConceptDraft(Draft):
    """One person in the answer to ``character_batch``. ``number``: the person's number in the request."""

    number: Number = 0
    obvious: Note = ""
    display_name: Name
    username: Label
    kind: ShortNote = ""
    age: ShortNote = ""
    trade: ShortNote = ""
    concept: Passage
    one_line: Line
    look: ShortNote = ""


class ConceptsDraft(Draft):
    """Answer to ``character_batch``. ``ties``: what happened between two people, ``plot``: what happens among them all, by the
    names of ties and steps in the request."""

    people: Entries[ConceptDraft]
    ties: Notes = {}
    plot: Notes = {}

    def readable(self) -> dict[str, str]:
        return {f"concept of number {person.number}": person.concept for person in self.people}


class RegeneratedConceptDraft(Draft):
    """Answer to ``character_batch`` for one person who is regenerated under the same name."""

    shown = ("concept",)
    obvious: Note = ""
    kind: ShortNote = ""
    age: ShortNote = ""
    trade: ShortNote = ""
    concept: Passage
    one_line: Line
    look: ShortNote = ""
    ties: Notes = {}


class TieDraft(Draft):
    """A relation as one of the two describes it."""

    relationship_type: Label
    description: Passage


class BothSidesDraft(TieDraft):
    """A relation as both describe it: the other person's document exists, and has to fit the regenerated person."""

    their_description: Passage


class CharacterDraft(Draft):
    """Answer to ``character``. ``relations``: one entry a person listed in the request, named ``person_1``, ``person_2``, …

    The fields for painters are in English.
    """

    shown = ("story", "bio", "personality", "appearance", "daily_routine", "secret")
    story: Story
    personality: Passage
    appearance: Passage
    look: ShortNote = ""
    speaking_style: Passage
    secret: Passage
    daily_routine: Passage
    interests: Labels
    common_topics: Labels
    relations: Ties[TieDraft] = {}
    bio: Bio
    avatar_description: Note = ""
    avatar_style: ShortNote = ""

    def readable(self) -> dict[str, str]:
        return super().readable() | {f"relations.{name}": tie.description for name, tie in self.relations.items()}


class RegeneratedCharacterDraft(CharacterDraft):
    """Answer to ``character`` for a person whom others describe already."""

    relations: Ties[BothSidesDraft] = {}

    def readable(self) -> dict[str, str]:
        others = {f"relations.{name}.their_description": tie.their_description for name, tie in self.relations.items()}
        return super().readable() | others


class IdeaDraft(Draft):
    """One post in the answer to ``post_batch``."""

    number: Number = 0
    obvious: Note = ""
    idea: Passage


class IdeasDraft(Draft):
    """Answer to ``post_batch``."""

    ideas: Entries[IdeaDraft]

    def readable(self) -> dict[str, str]:
        return {f"idea of number {idea.number}": idea.idea for idea in self.ideas}


class PostDraft(Draft):
    """Answer to ``post``."""

    shown = ("content", "comments")
    context: Note = ""
    content: Passage
    comments: Lines = []
    mood: ShortNote = ""
    location: ShortNote = ""
    time_of_day: ShortNote = ""
    hashtags: Words = []
    image_prompt: Passage
    image_style: ShortNote = ""

    def readable(self) -> dict[str, str]:
        """A short text is not checked: it may be one foreign word or a number."""
        return {name: text for name, text in super().readable().items() if len(languages.own_words(text)) > SHORT_POST}


class PicturePromptDraft(Draft):
    """Answer to ``refine_avatar`` and ``refine_post_image`` (quality ``high``)."""

    image_prompt: Passage
