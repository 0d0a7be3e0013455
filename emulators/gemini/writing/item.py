"""The item of a request, parsed from the lines of Generia's prompts (generia_assets/content/prompts).

Here: parsing. Not here: the language and the kind of world (scene.py), and the answer (posts.py, walker.py). If a prompt has none
of these lines, everything is empty.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

BATCH = 10
"""People, or ideas, that are asked for at once."""
_NUMBERS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_SMALL = {name: number for number, name in enumerate(_NUMBERS, 1)}
_COMPLAINED = re.compile(r"^Your last answer could not be used\.", re.MULTILINE)
_PLANNED = re.compile(r"^Number \d+ \(post (\d+) of \d+(?:; (.*?))?\): ([\w ]+?) — (.*)$", re.MULTILINE)
_PLACE = re.compile(r"^Post (\d+) of \d+ of @(\w+)\.$", re.MULTILINE)
_LENGTH = re.compile(r"under (\d+) words|(\w+) to (\w+) words")
_ABOUT = re.compile(r"About event \d+, “(.+?)”, seen")
_LAST = re.compile(r"^\d+\. (.+?) \(", re.MULTILINE)
_YEARS = re.compile(r"\(as grown up as a human of (\d+)\)")
_KNOWN = re.compile(r"^\s*(?:person_)?(\d+)[.:] (.+?) \(@(\w+)\)(.*)$", re.MULTILINE)
_NAMED = re.compile(r"^(.+?) \(@(\w+)\):", re.MULTILINE)
_FACT = re.compile(r"What happened: (.*?)(?: As this person tells it:| Speaks like this:|$)")
_TIE = re.compile(r"^(tie_\d+|step_\d+): (.*)$", re.MULTILINE)
_WHOM = re.compile(r"number (\d+)|\(@(\w+)\)")


@dataclass(frozen=True)
class RequestedWish:
    """An idea of the user's sentence, and its effect on daily life ('' if the request has none)."""

    idea: str = ""
    daily: str = ""


@dataclass(frozen=True)
class PostOrder:
    """One requested post or idea. ``order`` counts a person's posts from 0; ``least`` and ``most`` are numbers of words."""

    order: int = 0
    moment: str = ""
    form: str = ""
    wish: RequestedWish = RequestedWish()
    event: str = ""
    least: int = 20
    most: int = 60
    answered: str = ""
    """The text it replies to, or ''. The request for the idea of a reply does not have it."""
    step: str = ""
    """The step of the plot that it tells, or ''."""
    is_reply: bool = False
    names: str = ""
    """Whom it names, as the text is to name them, or ''."""
    heard: tuple[str, ...] = ()
    """Ideas of people the author knows."""
    tags: tuple[str, ...] | None = None
    """Hashtags to choose from; None = none are wanted."""
    picture: str = ""


@dataclass(frozen=True)
class Known:
    """An acquaintance as the request describes them."""

    display_name: str
    username: str
    relation: str = ""
    fact: str = ""


class RequestedItem:
    """The part of a request after the world's part."""

    def __init__(self, text: str) -> None:
        self.text = text

    def block(self, name: str) -> str:
        """The text between the tags of this name, or ''."""
        begun = re.search(rf"<{name}-[0-9a-f]{{8}}>\n", self.text)
        if begun is None:
            return ""
        inside, closed, _ = self.text[begun.end() - 1 :].partition(f"\n</{name}-")  # a pattern takes a tenth of an answer's CPU
        return inside[1:] if closed else ""

    def line(self, name: str) -> str:
        """The text after ``name:`` at the start of a line, or ''."""
        return f"\n{self.text}".partition(f"\n{name}: ")[2].partition("\n")[0].strip()

    @cached_property
    def is_complaint(self) -> bool:
        """Whether the request is repeated with a complaint about the last answer."""
        return bool(_COMPLAINED.search(self.text))

    @cached_property
    def is_anew(self) -> bool:
        """Whether the request regenerates a character, or a post in other words."""
        return " Speaks like this: " in self.block("acquaintances") or bool(self.block("former"))

    @cached_property
    def happened(self) -> tuple[str, ...]:
        """The names of the events that have happened, in order."""
        return tuple(_LAST.findall(self.block("calendar")))

    @cached_property
    def existing(self) -> int:
        """The number of people who exist when others are invented."""
        found = re.search(r"(\d+) exist already", self.text)
        return int(found.group(1)) if found else 0

    @cached_property
    def years(self) -> tuple[int, ...]:
        """Drawn ages of the requested people, in order."""
        return tuple(int(years) for years in _YEARS.findall(self.text))

    @cached_property
    def known(self) -> dict[str, Known]:
        """Acquaintances by their number ("1")."""
        text = self.block("acquaintances") or self.text
        found: dict[str, Known] = {}
        for number, display_name, username, rest in _KNOWN.findall(text):
            relation, fact = re.search(r"To this person: ([^.]+)\.", rest), _FACT.search(rest)
            found[number] = Known(
                display_name, username, relation.group(1) if relation else "", fact.group(1).strip() if fact else ""
            )
        return found

    @cached_property
    def ties(self) -> dict[str, tuple[str, ...]]:
        """The two people of each requested tie, by the name of its field: a number of this request, or a display name. Also the
        people of each step of the plot; that can be one person."""
        names = {username: name for name, username in _NAMED.findall(self.block("people"))}
        return {
            tie: tuple(
                number or names.get(username, f"@{username}")
                for number, username in _WHOM.findall(says.partition(" At work in it: ")[0])
            )[:2]
            for tie, says in _TIE.findall(self.text)
        }

    @property
    def renamed(self) -> str:
        """The display name of the regenerated character, or ''."""
        found = re.search(r"^The person asked for now: (.+?) \(@", self.text, re.MULTILINE)
        return found.group(1) if found else ""

    @cached_property
    def posts(self) -> tuple[PostOrder, ...]:
        """The requested posts: those of a plan, or the one to be written."""
        if place := _PLACE.search(self.text):
            return (self._post(int(place.group(1)) - 1),)
        return tuple(_planned(*found) for found in _PLANNED.findall(self.text))

    def _post(self, order: int) -> PostOrder:
        least, most = _length(self.line("Length"))
        handles, plain, tags = re.findall(r"@\w+", self.line("Names")), self.line("Names without @"), self.line("Hashtags")
        # "one or two, of these or their own: a, b; the other post has c"
        listed = re.split("[,;]", tags.partition(": ")[2].replace("the other post has", "").replace("their own", "").rstrip("."))
        return PostOrder(
            order=order,
            moment=self.line("When"),
            form=self.line("Form").partition(" — ")[0],
            wish=_wish(self.line("Wish")),
            event=self.line("About").removesuffix(", from where this person stood."),
            least=least,
            most=most,
            answered=self.block("answered"),
            step=self.block("step"),
            is_reply=bool(self.block("answered")),
            names=" ".join(handles) or plain,
            heard=tuple(idea for _, _, idea in (line.partition(": ") for line in self.block("heard").splitlines()) if idea),
            tags=None if tags.startswith("none") or not tags else tuple(tag for one in listed if (tag := one.strip())),
            picture=self.line("Picture").partition(" — ")[0],
        )


def _planned(post: str, moment: str, form: str, rest: str) -> PostOrder:
    about, (text, _, wish) = _ABOUT.search(rest), rest.rpartition(" Wish: ")
    least, most = _length(text)
    return PostOrder(
        order=int(post) - 1,
        moment=moment,
        form=form,
        wish=_wish(wish),
        event=about.group(1) if about else "",
        least=least,
        most=most,
        is_reply="To a post of " in text,
    )


def _wish(text: str) -> RequestedWish:
    found = re.fullmatch(r"(.*?)(?: \((.*)\))?", text.strip())
    return RequestedWish(found.group(1), found.group(2) or "") if found else RequestedWish(text)


def _length(text: str) -> tuple[int, int]:
    found = _LENGTH.search(text)
    if found is None:
        return PostOrder.least, PostOrder.most
    under, least, most = found.groups()
    if under:
        return int(under) // 3, int(under) - 1
    low, high = (_SMALL.get(word) or (int(word) if word.isdigit() else 0) for word in (least, most))
    return (low, high) if 0 < low <= high else (PostOrder.least, PostOrder.most)
