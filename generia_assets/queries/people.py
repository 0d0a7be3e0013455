"""The people of a world, with portraits and relations: in pages in order of their keys, one by one. Not here: posts (feed.py)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from generia_assets.content.documents import Character, CharacterAvatar, CharacterBrief, FrozenModel, Media, WorldRequest
from generia_assets.content.keys import WORLD_KEY, character_index
from generia_assets.content.shares import shares
from generia_assets.queries.asset_views import AssetViews
from generia_assets.queries.search import text_in

PEOPLE_PAGE = 100


class PersonCard(FrozenModel):
    """A person as a card shows them. ``avatar`` None: there is none (yet)."""

    key: str
    character_id: str
    username: str
    display_name: str
    bio: str = ""
    posts_count: int = 0
    avatar: Media | None = None


class KnownPerson(FrozenModel):
    """A relation with the other person's card; None while that person is not written."""

    username: str
    relationship_type: str
    description: str
    person: PersonCard | None


class RelationView(FrozenModel):
    """A relation between two people of one page, by their keys.

    ``other_is``: what the other is to the one; ``one_is``: the reverse. '' where that side does not name the relation.
    """

    one: str
    other: str
    other_is: str
    one_is: str


class PersonView(FrozenModel):
    """A person in full. ``brief``: the concept that they were written from, or None.

    ``relations``: those of the person and their acquaintances among themselves.
    """

    card: PersonCard
    character: Character
    brief: CharacterBrief | None
    known: tuple[KnownPerson, ...]
    relations: tuple[RelationView, ...]


class PeoplePage(FrozenModel):
    """Some people in order, their relations among themselves, and the key to go on after (None: these are the last)."""

    people: tuple[PersonCard, ...] = ()
    relations: tuple[RelationView, ...] = ()
    after: str | None = None


def people_page(views: AssetViews, *, after: str = "") -> PeoplePage:
    """The people whose keys come after this one."""
    found = list(views["characters"].find(Character, {"key": {"$gt": after}}, limit=PEOPLE_PAGE + 1))
    shown = found[:PEOPLE_PAGE]
    cards = _cards(views, shown)
    return PeoplePage(
        people=tuple(cards[one.key] for one in shown),
        relations=tuple(_relations(shown)),
        after=shown[-1].key if len(found) > PEOPLE_PAGE else None,
    )


def person(views: AssetViews, key: str) -> PersonView | None:
    character = views["characters"].one(Character, key)
    if character is None:
        return None
    acquaintances = list(_by_username(views, [relation.username for relation in character.relationships]))
    cards = {card.username: card for card in _cards(views, acquaintances).values()}
    known = tuple(KnownPerson(**relation.model_dump(), person=cards.get(relation.username)) for relation in character.relationships)
    brief = views["character_briefs"].one(CharacterBrief, key)
    return PersonView(
        card=_cards(views, [character])[key],
        character=character,
        brief=brief,
        known=known,
        relations=tuple(_relations([character, *acquaintances])),
    )


def people_found(views: AssetViews, name: str, limit: int) -> list[PersonCard]:
    """Some people who are named so, or in part, in order of their keys; of one with exactly this username nobody else."""
    found = list(_by_username(views, {name})) if name else []
    by_name = text_in(("username", "display_name"), name)
    if not found and by_name:
        found = list(views["characters"].find(Character, by_name, limit=limit))
    return list(_cards(views, found).values())


def cards_by_key(views: AssetViews, keys: Collection[str]) -> dict[str, PersonCard]:
    return _cards(views, views["characters"].by_key(Character, keys).values())


def keys_by_username(views: AssetViews, usernames: Collection[str]) -> dict[str, str]:
    return {one.username: one.key for one in _by_username(views, usernames)}


def _by_username(views: AssetViews, usernames: Collection[str]) -> Iterable[Character]:
    return views["characters"].find(Character, {"username": {"$in": sorted(set(usernames))}}) if usernames else ()


def _cards(views: AssetViews, characters: Iterable[Character]) -> dict[str, PersonCard]:
    characters = list(characters)
    avatars = views["character_avatars"].by_key(CharacterAvatar, [one.key for one in characters])
    request = views["world_request"].one(WorldRequest, WORLD_KEY)
    # Where the world was extended, people have more posts than when their documents were made.
    extended = shares(request.seed, *request.size) if request is not None and request.former_sizes else ()
    return {
        one.key: PersonCard(
            key=one.key,
            character_id=one.character_id,
            username=one.username,
            display_name=one.display_name,
            bio=one.bio,
            posts_count=extended[character_index(one.key)] if extended else one.posts_count,
            avatar=avatars[one.key].avatar if one.key in avatars else None,
        )
        for one in characters
    }


def _relations(characters: Sequence[Character]) -> Iterable[RelationView]:
    """Each pair that knows each other once, in order of their keys."""
    keys = {one.username: one.key for one in characters}
    # By who says it and about whom: what that person is to them.
    said = {
        (one.key, keys[relation.username]): relation.relationship_type
        for one in characters
        for relation in one.relationships
        if relation.username in keys
    }
    for one, other in sorted({(min(pair), max(pair)) for pair in said if pair[0] != pair[1]}):
        yield RelationView(one=one, other=other, other_is=said.get((one, other), ""), one_is=said.get((other, one), ""))
