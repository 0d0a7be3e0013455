"""The documents of a world: one pydantic class for each of the nine assets.

Here: what is stored and published, with the platform's own field names (docs/requirements.md). Not here: what the model is asked to
answer (drafts.py) and how a document reaches MongoDB (resources/mongodb/document_store.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from generia_assets.content.keys import WORLD_KEY
from generia_assets.content.shares import Size
from resources.gemini.tiers import ServiceTier


class Quality(StrEnum):
    """How much is spent on a world. ``high`` lets the model refine every image prompt by a call of its own."""

    STANDARD = "standard"
    HIGH = "high"


class FrozenModel(BaseModel):
    """Base of models whose values do not change."""

    model_config = ConfigDict(frozen=True)


class Document(FrozenModel):
    """Base of every stored document. A change is a new document of a new generation."""

    key: str = Field(description="name inside the world, the same in every generation")


class WorldRequest(Document):
    """The order (asset ``world_request``, R4 init). The counts are exact."""

    key: str = WORLD_KEY
    user_prompt: str
    users_count: int = Field(ge=1)
    posts_count: int = Field(ge=0)
    quality: Quality = Quality.STANDARD
    language: str = Field(default="", description="language the user wrote in, as an English name; '' = let the model tell")
    seed: int = Field(description="source of all random choices of the program for this world")
    max_cost_usd: float | None = Field(default=None, gt=0, description="cap in US dollars; None = no cap")
    service_tier: ServiceTier = ServiceTier.STANDARD
    created_at: datetime
    former_sizes: tuple[tuple[int, int], ...] = Field(default=(), description="people and posts before each extension, in order")

    @property
    def size(self) -> Size:
        return Size.of(self.users_count, self.posts_count, self.former_sizes)


class WorldEvent(FrozenModel):
    """One entry of the world's shared calendar."""

    name: str
    moment: str = Field(description="when, in the world's own time")
    what_happens: str
    who_cares: str = Field(description="whom it touches and why people disagree about it")
    days: tuple[str, ...] = Field(default=(), description="labels of time until the next event, in order, as people here say them")


class Wish(FrozenModel):
    """One idea of the user's sentence."""

    idea: str = Field(description="the idea, in the sentence's own words")
    daily: str = Field(default="", description="what it does to daily life in this world")


class NamingCustoms(FrozenModel):
    """How people are named in this world."""

    rules: str
    examples: tuple[str, ...] = ()


class UserPreferences(FrozenModel):
    """What the user's sentence asked for beside the setting."""

    language: str
    other_preferences: tuple[str, ...] = ()


class AdditionalDetails(FrozenModel):
    """The platform's group of further details."""

    climate: str = ""
    resources: str = ""
    conflicts: str = ""
    traditions: str = ""
    technology: str = ""
    magic_system: str = ""
    time_period: str = ""
    language: str = ""
    custom_details: tuple[str, ...] = ()


class WorldDescription(Document):
    """The world itself (asset ``world_description``; stored once as WorldParameters and loaded by every later task)."""

    key: str = WORLD_KEY
    name: str
    description_short: str
    description: str = Field(description="2-30 paragraphs, separated by blank lines")
    theme: str
    technology_level: str
    social_structure: str
    culture: str
    geography: str
    visual_style: str = Field(description="one English sentence put in front of every image prompt of the world")
    history: str
    common_activities: tuple[str, ...]
    typical_stories: tuple[str, ...]
    user_preferences: UserPreferences
    additional_details: AdditionalDetails
    naming: NamingCustoms
    calendar: tuple[WorldEvent, ...] = Field(description="5-12 events, in order; the timeline says when each has happened")
    hashtags: tuple[str, ...] = Field(default=(), description="tags that people here use, without #")
    wishes: tuple[Wish, ...] = Field(default=(), description="the ideas of the user's sentence; every post gets one")


class Media(FrozenModel):
    """A picture that the platform keeps."""

    media_id: str
    url: str
    prompt: str = Field(description="the exact prompt the picture was made from")
    width: int
    height: int
    moderation: str = Field(default="", description="why another picture was asked for at first and refused, or ''")


class WorldImages(Document):
    """The world's wide header and its square icon (asset ``world_images``)."""

    key: str = WORLD_KEY
    header: Media
    icon: Media


class Acquaintance(FrozenModel):
    """One side of a relation in the world's social graph: whom this character knows, and how."""

    key: str
    username: str
    display_name: str
    relationship_type: str
    summary: str = Field(default="", description="who that is, in one line")
    between: str = Field(default="", description="what lies between the two, the same words for both")
    kind: str = Field(default="", description="what they are (a woman, a man, or what this world has), with the pronoun")
    age: str = Field(default="", description="how old, as this world counts it")
    trade: str = ""
    look: str = Field(default="", description="appearance in a few English words, for a painter")
    concept: str = Field(default="", description="the first two sentences of their concept")
    tie: str = Field(default="", description="the relation as one whole sentence that reads one way")
    fact: str = Field(default="", description="the one thing that happened between the two, the same words for both")
    changed_by: int = Field(default=0, ge=0, description="the event, counted from 1, that changed what is between them; 0 = none")
    change: str = Field(default="", description="how it is between them since that event")
    selves: int = Field(default=0, ge=0, description="how often they were made again")
    names: bool = Field(default=True, description="whether this character names the other in posts")


class PlotStep(FrozenModel):
    """A step of the plot of a batch's people."""

    t: int = Field(ge=0, description="place in the order of the world of the post that tells it")
    what: str = Field(description="what happens")


class CharacterBrief(Document):
    """One character's concept (asset ``character_briefs``): 2-4 sentences, a name, and a share of the posts."""

    username: str = Field(description="unique in the world, without @")
    display_name: str = Field(description="unique in the world")
    concept: str = Field(description="2-4 sentences")
    one_line: str = Field(description="who this is, in a line for others")
    kind: str = Field(default="", description="as in Acquaintance")
    age: str = Field(default="", description="as in Acquaintance")
    years: int = Field(default=0, ge=0, description="age chosen by the program, in human years; 0 = none")
    trade: str = ""
    look: str = Field(default="", description="appearance in a few English words, for a painter")
    facts: dict[str, str] = Field(default={}, description="by another person's key (self_key): what happened between the two")
    plot: tuple[PlotStep, ...] = Field(default=(), description="what happens among the people invented together; the same for all")
    axes: dict[str, str] = Field(default_factory=dict, description="the axes' values of this character")
    posts_count: int = Field(ge=0, description="posts of this person when this was made; an extension adds more of them")
    selves: int = Field(default=0, ge=0, description="how often this person was made again, as somebody else under the same name")
    moderation: str = Field(default="", description="why the program and not the model invented this person, or ''")


class Relationship(FrozenModel):
    """A relation as the platform's pages show it. Usernames always exist in the world: a regenerated person keeps theirs."""

    username: str
    relationship_type: str
    description: str


class Character(Document):
    """A person of the world in full (asset ``characters``), already known to the platform as ``character_id``."""

    username: str
    display_name: str
    bio: str = Field(max_length=200)
    background_story: str = Field(description="2-10 paragraphs")
    personality: str
    appearance: str
    interests: tuple[str, ...]
    speaking_style: str
    common_topics: tuple[str, ...]
    avatar_description: str = Field(description="an English, image-ready prompt")
    avatar_style: str
    relationships: tuple[Relationship, ...]
    secret: str
    daily_routine: str
    look: str = Field(description="the person's appearance in a few English words, the same in every picture of them")
    posts_count: int = Field(ge=0, description="as in the brief")
    plot: tuple[PlotStep, ...] = Field(default=(), description="as in the brief")
    character_id: str = Field(description="the platform's id")
    moderation: str = Field(default="", description="how moderation changed this person, or ''")
    selves: int = Field(default=0, ge=0, description="as in the brief")
    seen_by: dict[str, str] = Field(default={}, description="of a person made again: how others (by username) see them now")

    def with_updated_relationships(self, regenerated: Mapping[str, Character]) -> Character:
        """This person with updated relations to regenerated people (by username), as those describe them (``seen_by``).

        Returns the same object where nothing changes.
        """
        relationships = tuple(
            tie.model_copy(update={"description": regenerated[tie.username].seen_by.get(self.username, tie.description)})
            if tie.username in regenerated
            else tie
            for tie in self.relationships
        )
        return self if relationships == self.relationships else self.model_copy(update={"relationships": relationships})


class CharacterAvatar(Document):
    """A character's portrait (asset ``character_avatars``)."""

    username: str
    character_id: str
    avatar: Media


class PostBrief(Document):
    """The idea of one post (asset ``post_briefs``)."""

    character: str = Field(description="key of the character who posts")
    username: str
    order: int = Field(ge=0, description="place in the character's own story, from 0")
    moment: str = Field(description="when, in the world's own time; '' after all labels of the calendar")
    idea: str
    form: str = Field(description="what kind of post it is: a question, a joke, a list, a complaint, …")
    event: str = Field(default="", description="name of the calendar's event it hangs on, or ''")
    mentions: tuple[str, ...] = Field(default=(), description="usernames that exist in the world")
    t: int = Field(default=0, ge=0, description="place in the order of the world, unique, from 0")
    after: int = Field(default=0, ge=0, description="how many events of the calendar have happened by then")
    in_reply_to: str = Field(default="", description="key of the earlier post that this one replies to, or ''")
    wish: str = Field(default="", description="the idea of the user's sentence that is at work in this post")
    moderation: str = Field(default="", description="why the program and not the model had this idea, or ''")

    @property
    def of_plan(self) -> str:
        """The idea where the model had none: of the only post of a person, and after refusals."""
        return "; ".join(filter(None, (self.form, self.event, self.wish)))


class Comment(FrozenModel):
    """What somebody says below a post. It was written together with the post, and is no post."""

    character: str = Field(description="key of the character who says it")
    username: str
    content: str


class Post(Document):
    """A post in full (asset ``posts``), not yet published."""

    character: str
    username: str
    character_id: str
    order: int
    moment: str
    content: str
    image_prompt: str = Field(description="English, image-ready")
    image_style: str
    pictured: tuple[str, ...] = Field(default=(), description="keys of the characters whose looks are in image_prompt, in order")
    hashtags: tuple[str, ...]
    mood: str
    context: str
    mentions: tuple[str, ...]
    location: str
    time_of_day: str
    t: int = Field(default=0, ge=0, description="as in PostBrief; a post made again keeps it")
    after: int = Field(default=0, ge=0, description="as in PostBrief")
    in_reply_to: str = Field(default="", description="as in PostBrief; '' also where the other post failed or was refused")
    quote: str = Field(default="", description="the text of the post it replies to, as it was when this was written")
    comments: tuple[Comment, ...] = Field(default=(), description="of acquaintances and the author, in order")
    wish: str = Field(default="", description="as in PostBrief")
    worn: tuple[str, ...] = Field(default=(), description="entries of the ban list that it or a comment trips over, for counting")
    deleted_reason: str = Field(default="", description="why this is a placeholder for refused content, or ''")

    @property
    def texts(self) -> tuple[str, ...]:
        """What readers read: its own text, then its comments."""
        return (self.content, *(comment.content for comment in self.comments))


class PostImage(Document):
    """A post's picture, and the post as published (asset ``post_images``)."""

    character: str
    character_id: str
    post_id: str = Field(description="the platform's id of the published post")
    image: Media
    published_at: datetime
    t: int = Field(default=0, ge=0, description="as in PostBrief: posts are published in this order")
