"""The data files beside the prompts: read once, validated, typed.

Not here: reading YAML (yaml_files.py), the random choices from the data, and when all files are validated (check.py).
"""

from __future__ import annotations

from collections import Counter
from functools import cache, partial
from typing import Annotated, Literal, Self, TypeAlias, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from generia_assets.content import yaml_files
from generia_assets.content.text import SCRIPTS

FileT = TypeVar("FileT", bound=BaseModel)

Words: TypeAlias = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
Entry: TypeAlias = Annotated[Words, StringConstraints(pattern=r"\w")]
"""Of a ban list: signs alone would be found in every text."""
Tag: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}$")]
"""Of a language, by BCP 47."""


def _known_script(name: str) -> str:
    if name not in SCRIPTS:
        raise ValueError(f"must be one of {', '.join(map(repr, SCRIPTS))}")
    return name


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Axis(_File):
    """One direction in which the people of a world differ. ``some``: a person has two of the axes that say so. ``choices``: values
    that a person has, of which the model takes the one that fits the world best."""

    name: Words
    values: tuple[Words, ...] = Field(min_length=2)
    some: bool = False
    choices: int = Field(default=1, ge=1)

    @model_validator(mode="after")
    def _whole_choices(self) -> Self:
        if len(self.values) % self.choices:
            raise ValueError(
                f"{self.name}: {len(self.values)} values are no multiple of choices, {self.choices}: add or remove some"
            )
        return self


def _in_order(years: tuple[int, int]) -> tuple[int, int]:
    if years[0] > years[1]:
        raise ValueError(f"must be [least, most], not [{years[0]}, {years[1]}]")
    return years


Years: TypeAlias = Annotated[tuple[int, int], AfterValidator(_in_order)]


class Age(_File):
    """An age that a person of a world can have. ``years``: least and most, in human years."""

    words: Words
    years: Years


class Language(_File):
    """A language the program knows something about."""

    name: Words
    tag: Tag
    script: Annotated[str, AfterValidator(_known_script)]
    letters: str = ""
    words: tuple[Words, ...] = ()
    deleted: Words = Field(description="text of a post that was refused by moderation twice")
    untold: Words = Field(description="text in place of a person of whom moderation refused everything")


NamedT = TypeVar("NamedT", Axis, Language)


def _each_name_once(entries: tuple[NamedT, ...]) -> tuple[NamedT, ...]:
    if twice := [name for name, count in Counter(entry.name for entry in entries).items() if count > 1]:
        raise ValueError(f"names must differ; there more than once: {', '.join(twice)}")
    return entries


def _two_that_some_have(axes: tuple[Axis, ...]) -> tuple[Axis, ...]:
    if sum(axis.some for axis in axes) < 2:
        raise ValueError("two axes at least must say some: true, since each person has two of them")
    return axes


class Axes(_File):
    """axes.yaml"""

    ages: tuple[Age, ...] = Field(min_length=2)
    axes: Annotated[tuple[Axis, ...], Field(min_length=1), AfterValidator(_each_name_once), AfterValidator(_two_that_some_have)]


class Languages(_File):
    """languages.yaml. ``inflecting``: the languages whose names change by case."""

    languages: Annotated[tuple[Language, ...], Field(min_length=1), AfterValidator(_each_name_once)]
    inflecting: tuple[Tag, ...] = ()


def _of_two(sentence: str) -> str:
    if "{first}" not in sentence or "{second}" not in sentence:
        raise ValueError("must hold {first} and {second}")
    return sentence


class RelationKind(_File):
    """A kind of relation: what the second person is to the first (``one``) and the first to the second (``other``).

    ``says``: the whole sentence, with {first} and {second}. ``older_by``: least and most years by which the second is older than
    the first. ``both_from``: years that both must have.
    """

    one: Words
    other: Words
    says: Annotated[Words, AfterValidator(_of_two)]
    older_by: Years | None = None
    both_from: int = 0
    once: str = Field(default="", description="ties of the same word here exclude each other for one person (couple)")


class Relations(_File):
    """relations.yaml"""

    near: tuple[RelationKind, ...] = Field(min_length=1)
    far: tuple[RelationKind, ...] = Field(min_length=1)
    turns: tuple[Words, ...] = Field(min_length=1)
    between: tuple[Words, ...] = Field(min_length=1)


class PostForm(_File):
    """What kind of post it is. ``least``: words below which it cannot be written."""

    name: Words
    how: Words
    needs_someone: bool = False
    least: int = Field(default=0, ge=0)


class Length(_File):
    """How long a post is: ``words`` as the prompt says it, ``most`` as a number."""

    words: Words
    most: int = Field(ge=1)


class Talker(_File):
    """How much a person writes at a time: ``lengths`` by their ``words``, repeated as often as they are likelier."""

    name: Words
    lengths: tuple[Words, ...] = Field(min_length=1)


class PictureKind(_File):
    """A subject of a post's picture. ``shows``: whether the author, or the author with an acquaintance, is in it."""

    name: Words
    how: Words
    shows: Literal["nobody", "author", "both"] = "nobody"


def _one_for_loners(forms: tuple[PostForm, ...]) -> tuple[PostForm, ...]:
    if all(form.needs_someone or form.least for form in forms):
        raise ValueError("at least one form must do without needs_someone and least: not everybody knows somebody or writes much")
    return forms


MOST_COMMENTS = 4
"""Comments on one post."""
MANY_COMMENTS = 3
"""Comments, at least, on a post that tells a step of the plot, and on the last one, where two acquaintances can write."""
LONGEST_OPENING = 35
"""Words of a world's first post, at most: a reader stays who understands it at once."""


class PostKinds(_File):
    """posts.yaml"""

    forms: Annotated[tuple[PostForm, ...], Field(min_length=2), AfterValidator(_one_for_loners)]
    lengths: tuple[Length, ...] = Field(min_length=1)
    talkers: tuple[Talker, ...] = Field(min_length=1)
    reply_lengths: tuple[Words, ...] = Field(min_length=1, description="how long replies are, by lengths.words")
    vignette_lengths: tuple[Words, ...] = Field(min_length=1, description="how long vignettes are, by lengths.words")
    step_lengths: tuple[Words, ...] = Field(min_length=1, description="how long steps of the plot are, by lengths.words")
    ending_lengths: tuple[Words, ...] = Field(min_length=1, description="how long endings are, by lengths.words")
    pictures: tuple[PictureKind, ...] = Field(min_length=2)
    vignettes: tuple[Words, ...] = Field(min_length=2, description="what a post can be that is no part of any story")
    remarks: tuple[Words, ...] = Field(min_length=2, description="what a vignette of few words can be")
    wonders: tuple[PictureKind, ...] = Field(min_length=2, description="pictures of vignettes")
    glimpses: tuple[PictureKind, ...] = Field(min_length=2, description="pictures of replies")
    comments: tuple[Annotated[tuple[Literal["friend", "author"], ...], Field(min_length=1, max_length=MOST_COMMENTS)], ...] = Field(
        min_length=1, description="who comments on a post, in order"
    )
    arcs: tuple[Words, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _people_write_lengths_that_exist(self) -> Self:
        if all(length.most > LONGEST_OPENING for length in self.lengths):
            raise ValueError(
                f"lengths: one at least must have a most of {LONGEST_OPENING} words or less, for the first post of a world"
            )
        if all(len(pattern) < MANY_COMMENTS for pattern in self.comments):
            raise ValueError(f"comments: one entry at least must have {MANY_COMMENTS} comments, for the steps of the plot")
        known = {length.words for length in self.lengths}
        given = {
            "reply_lengths": self.reply_lengths,
            "vignette_lengths": self.vignette_lengths,
            "step_lengths": self.step_lengths,
            "ending_lengths": self.ending_lengths,
            "talkers": [words for talker in self.talkers for words in talker.lengths],
        }
        for field, lengths in given.items():
            if unknown := [words for words in lengths if words not in known]:
                raise ValueError(f"{field}: lengths not among lengths.words: {', '.join(unknown)}")
        return self


class ProfileOptions(_File):
    """people.yaml: the parts of which a profile has a selection, so that profiles differ in their parts."""

    situations: tuple[Words, ...] = Field(min_length=3)
    entrances: tuple[Words, ...] = Field(min_length=2)
    formats: tuple[Words, ...] = Field(min_length=2)
    typing: tuple[Words, ...] = Field(min_length=2)
    profile_lines: tuple[Words, ...] = Field(min_length=2)
    portraits: tuple[Words, ...] = Field(min_length=2)
    secrets: tuple[Words, ...] = Field(min_length=2)


class BanFile(_File):
    """One file of banlist/."""

    names: tuple[Entry, ...] = ()
    jobs: tuple[Entry, ...] = ()
    words: tuple[Entry, ...] = ()
    phrases: tuple[Entry, ...] = ()
    openings: tuple[Entry, ...] = ()


def _data(name: str, shape: type[FileT]) -> FileT:
    return yaml_files.read(yaml_files.FOLDER / name, shape)


axes = cache(partial(_data, "axes.yaml", Axes))
relations = cache(partial(_data, "relations.yaml", Relations))
post_kinds = cache(partial(_data, "posts.yaml", PostKinds))
profile_options = cache(partial(_data, "people.yaml", ProfileOptions))
languages = cache(partial(_data, "languages.yaml", Languages))


@cache
def ban_file(name: str) -> BanFile:
    """The ban list of a language by its English name, or ``any``; empty where there is no file."""
    path = yaml_files.FOLDER / "banlist" / f"{name.casefold()}.yaml"
    known = {file.name for file in path.parent.glob("*.yaml")}
    return yaml_files.read(path, BanFile) if path.name in known else BanFile()
