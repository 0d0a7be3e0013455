"""Two small worlds for tests of content and tasks: possible answers of a model, in English and in Russian."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from generia_assets.content.axes import character_axes, years
from generia_assets.content.documents import Acquaintance, Character, CharacterBrief, PostBrief, WorldDescription, WorldRequest
from generia_assets.content.drafts import WorldDraft
from generia_assets.content.keys import character_key, post_key
from generia_assets.content.seeding import world_seed
from generia_assets.content.shares import shares
from generia_assets.content.social import acquaintances, introduce
from generia_assets.tasks.generate_world_description import world_of

ENGLISH = "A town on the back of a slow tortoise that has just started walking again after 200 years; trams, bees, no kings"
RUSSIAN = "Город, где дождь идёт из книг, а библиотекарей судят за погоду; коммуналки и трамвайные депо"

_ENGLISH_EVENTS = """
The First Step | day 1 of walking | The streets tilted four degrees at breakfast. | Stair people cheered; glaziers did not.
The Tram Vote | day 9 | Line 3 was shortened by two stops. | East side has walked since and says so.
Bee Strike | day 15 | No hive left its box for a week. | Keepers blame the drums, drummers blame the keepers.
Ottoline's Wedding | day 22 | The cake slid into the canal with the band playing. | Nobody agrees who let go.
The Cold Foot | day 31 | It stood in a river and the cellars froze. | Brewers got rich; the market lost its turnips.
Finding of the Bell | day 40 | A bell came up from under a scale. | Two parishes hold one rope each.
"""
_RUSSIAN_EVENTS = """
Первый ливень | начало осени | Шёл роман, три дня, без точек. | Прачечная требует возмещения.
Суд над читальным залом | через неделю | Обвиняемая принесла зонт. | Половина дома была в зале, половина делает вид.
Пропажа трамвая 7 | тогда же | Вагон ушёл в депо и не вышел. | Вожатые молчат, пассажиры нет.
Сухая неделя | ноябрь | Ни строчки. Соль подорожала. | Торговцы довольны, дети нет.
Свадьба на крыше | ноябрь | Гости промокли от комедии. | Спорят, над кем смеялись.
"""
_PASSAGES = [
    "technology_level",
    "social_structure",
    "culture",
    "geography",
    "history",
    "climate",
    "resources",
    "conflicts",
    "traditions",
    "technology",
    "magic_system",
    "time_period",
    "languages_spoken",
]


_ENGLISH_WISHES = (
    ("a town on a tortoise", "doors open downhill"),
    ("trams", "line 3 stops where the hill begins"),
    ("bees", "honey pays the rent"),
    ("no kings", ""),
)
_RUSSIAN_WISHES = (("дождь из книг", "бельё сушат с закладками"), ("суд за погоду", "в очереди спорят о приговоре"))


def _events(lines: str) -> list[dict[str, Any]]:
    names = ("name", "moment", "what_happens", "who_cares")
    events = [dict(zip(names, line.split(" | "), strict=True)) for line in lines.strip().splitlines()]
    return [{**event, "days": [f"{event['moment']} + {days}" for days in range(3)]} for event in events]


def world_answer(language: str = "English") -> dict[str, Any]:
    """A model's answer with a world."""
    russian = language == "Russian"
    passage = (
        "Дворы завешаны сохнущими страницами, и каждая хозяйка знает, чья это глава."
        if russian
        else "Every street has a downhill now, and the price of a wheel chock has tripled since the first step."
    )
    line = "Одно и то же видно из каждого окна." if russian else "The same thing can be seen from every window."
    return {
        "content_language": language,
        "wishes": [{"idea": idea, "daily": daily} for idea, daily in (_RUSSIAN_WISHES if russian else _ENGLISH_WISHES)],
        "obvious": line,
        "name": "Мокрая Слободка" if russian else "Underhill",
        "description_short": line,
        "theme": "Кто отвечает за погоду?" if russian else "Should a town want to go anywhere?",
        "paragraphs": [f"{passage} {number}." for number in range(7)],
        **dict.fromkeys(_PASSAGES, passage),
        "custom_details": [line] * 4,
        "common_activities": [line] * 6,
        "typical_stories": [line] * 4,
        "naming_rules": "Имя даёт двор, прозвище — погода." if russian else "A trade, then the street they first slept in.",
        "naming_examples": ["Клава Сухая", "Петюня Абзац"] if russian else ["Chock Potter Lane", "Wicket Underbell"],
        "hashtags": ["мокрое"] if russian else ["tiltwatch"],
        "calendar": _events(_RUSSIAN_EVENTS if russian else _ENGLISH_EVENTS),
        "visual_style": "Gouache on brown paper, low winter light, visible brush, muted ochre and one cold blue",
    }


def a_request(sentence: str = ENGLISH, users: int = 25, posts: int = 150, **more: Any) -> WorldRequest:
    """The request of a world. By default c0003 has six posts and three acquaintances, and everybody has at least two posts."""
    fields = {"user_prompt": sentence, "users_count": users, "posts_count": posts, "seed": world_seed("world-45"), **more}
    return WorldRequest.model_validate({"created_at": datetime(2026, 11, 1, tzinfo=UTC), **fields})


def a_world(language: str = "English", request: WorldRequest | None = None) -> WorldDescription:
    """A described world."""
    request = request or a_request(RUSSIAN if language == "Russian" else ENGLISH)
    return world_of(WorldDraft.model_validate(world_answer(language)), request)


def a_brief(index: int, request: WorldRequest) -> CharacterBrief:
    """A concept with a name of its own, and the person's share of the world's posts."""
    return CharacterBrief(
        key=character_key(index),
        username=f"wicket_{index}",
        display_name=f"Wicket {index} Hall",
        concept=f"Sells chocks number {index} from a handcart and measures the tilt of every doorstep.",
        one_line=f"the chock seller of stairway {index}",
        kind="a woman (she)",
        age=f"{years(request.seed, index)} winters",
        years=years(request.seed, index),
        trade=f"sells chocks on stairway {index}",
        look=f"broad woman in coat number {index}",
        facts={
            character_key(tie.index): f"Wicket {index} sold Wicket {tie.index} a chock that split."
            for tie in acquaintances(request.seed, request.users_count, index)
            if tie.index < index
        },
        axes=character_axes(request.seed, index),
        posts_count=shares(request.seed, request.users_count, request.posts_count)[index],
    )


def acquaintances_of(index: int, request: WorldRequest, world: WorldDescription) -> tuple[Acquaintance, ...]:
    """The acquaintances of a character, by name."""
    return introduce(request, world, index, {other: a_brief(other, request) for other in range(request.users_count)})


def a_character(index: int, request: WorldRequest) -> Character:
    """A complete person."""
    brief = a_brief(index, request)
    return Character(
        key=brief.key,
        username=brief.username,
        display_name=brief.display_name,
        bio="chocks, wedges, opinions",
        background_story="One paragraph.\n\nAnother.",
        personality="Counts steps when flattered.",
        appearance="Wide, low, in a coat of many pockets.",
        interests=("levels",),
        speaking_style="lower case, prices, no emoji",
        common_topics=("tilt",),
        avatar_description="Seen from behind, pushing a handcart uphill",
        avatar_style="a crooked snapshot",
        relationships=(),
        secret="The wedges are made of church pews.",
        daily_routine="Up at second bell.",
        look="broad woman of sixty, cropped grey hair, patched canvas coat, brass spirit level on a cord",
        posts_count=brief.posts_count,
        character_id=f"id-{index}",
    )


def a_post_brief(order: int, character: Character) -> PostBrief:
    """The idea of a post that is in no world's plan."""
    return PostBrief(
        key=post_key(character.key, order),
        character=character.key,
        username=character.username,
        order=order,
        t=order,
        moment=f"day {order}",
        idea=f"Idea {order}: the cart rolled away during lunch number {order} and came back with someone's hat",
        form="complaint",
    )
