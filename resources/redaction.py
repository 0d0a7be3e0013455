"""Texts of other systems, made fit to be stored: cleaned, redacted, cut. The one place for it.

Here: what is done to every text of a provider, a platform or a model before it is stored, logged or put into an exception: what
MongoDB or a terminal cannot take is replaced, secrets are hidden, and what is too long is cut. ``CallError`` does it to its
message, the world's ledger to the record of a request. Not here: the text of an answer that is used (content/text.py).
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

LONGEST_ERROR = 2_000
"""Characters of an error's text."""
LONGEST_RECORD = 1_000_000
"""Characters of all texts together in one side of a request's record: at most 4 MB of a document's 16."""
DEEPEST_RECORD = 20
"""Levels of dictionaries and lists in a record."""
SHORTEST_SECRET = 8
"""Characters; what is shorter is no secret, and hiding it would only damage words."""
HIDDEN = "***"

_UNFIT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
"""Control characters but tab and line ends, and halves of surrogate pairs."""
_KEY = r"[\w\-.…*]*"
_PATTERNS = {
    "AIza": rf"AIza{_KEY}",  # a key of Google's, whole, cut or masked, as in its own messages
    "key=": r"(?<=[?&]key=)[^&\s\"'<>]+",
    "://": r"(?<=://)[^\s/@:]*:[^\s/@]+(?=@)",
    "X-Amz-": r"X-Amz-(?:Credential|Security-Token|Signature)=[^&\s\"'<>]+",  # of presigned URLs
    "Bearer ": r"(?<=\bBearer )[\w\-.~+/=]+",
}
"""What a secret looks like, by the literal that is in each such text: looking for literals costs a hundredth of the patterns."""


def hide(*secrets: str) -> None:
    """From now on ``redacted`` hides these secrets of this process, and what begins like one of them."""
    for secret in secrets:
        if len(secret) >= SHORTEST_SECRET:
            begin, rest = secret[:SHORTEST_SECRET], secret[SHORTEST_SECRET:]
            _PATTERNS[begin] = f"{re.escape(begin)}(?:{re.escape(rest)}|{_KEY})"


def redacted(text: str) -> str:
    """The text without secrets: Google's keys and those of ``hide``, whole or in part, and keys and passwords in URLs."""
    for literal, pattern in _PATTERNS.items():
        if literal in text:
            text = re.sub(pattern, HIDDEN, text)
    return text


def fit(text: str) -> str:
    """The text without what no other system takes: control characters but tab and line ends, halves of surrogate pairs."""
    return _UNFIT.sub("\ufffd", text)


def fit_json(value: object) -> object:
    match value:
        case str():
            return fit(value)
        case Mapping():
            return {fit(str(key)): fit_json(one) for key, one in value.items()}
        case list() | tuple():
            return [fit_json(one) for one in value]
        case _:
            return value


def kept(text: str, limit: int = LONGEST_ERROR) -> str:
    """The text as it may be stored, logged and shown: cleaned, redacted, at most ``limit`` characters."""
    # A secret that begins before the cut ends well behind it; what lies further back is not looked at, be it 20 MB.
    whole = redacted(fit(text[: limit + 1_000]))
    return whole if len(whole) <= limit and len(text) <= limit + 1_000 else whole[: limit - 1] + "…"


def kept_line(text: str, limit: int = LONGEST_ERROR) -> str:
    """As ``kept``, on one line with single spaces."""
    return kept(" ".join(text[: 10 * limit].split()), limit)


def kept_data(data: Mapping[str, object]) -> dict[str, object]:
    """A record's data as MongoDB can keep it, however deep or long: at most ``LONGEST_RECORD`` characters in all."""
    return _Record().mapping(data, 0)


class _Record:
    """One walk through a record's data; what is beyond its limits is left out behind an ellipsis."""

    def __init__(self) -> None:
        self._left = LONGEST_RECORD

    def mapping(self, data: Mapping[Any, object], depth: int) -> dict[str, object]:
        fit: dict[str, object] = {}
        for key, value in data.items():
            if self._left <= 0:
                fit["…"] = f"{len(data) - len(fit)} more"
                break
            fit[self._text(str(key), 200)] = self._value(value, depth + 1)
        return fit

    def _value(self, value: object, depth: int) -> object:
        self._left -= 10  # a number or a bracket counts, too
        match value:
            case str():
                return self._text(value, LONGEST_RECORD)
            case None | bool() | float() | datetime():
                return value
            case int() if abs(value) < 2**63:
                return value
            case _ if depth > DEEPEST_RECORD:
                return "…"
            case Mapping():
                return self.mapping(value, depth)
            case list() | tuple():
                fit: list[object] = []
                for entry in value:
                    if self._left <= 0:
                        fit.append("…")
                        break
                    fit.append(self._value(entry, depth + 1))
                return fit
            case int():
                return f"(an integer of {value.bit_length()} bits)"
            case _:
                return f"({type(value).__name__})"

    def _text(self, text: str, limit: int) -> str:
        fit = kept(text, max(1, min(limit, self._left)))
        self._left -= len(fit)
        return fit
