"""Classifies errors of the Gemini API, and calls without an answer. Messages quote Google's and add advice."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import httpx2

from resources.gateway.outcomes import (
    CallError,
    CallTimeoutError,
    FatalCallError,
    InvalidAnswerError,
    ModelMissingError,
    ParameterRefusedError,
    RateLimitedError,
    RequestRejectedError,
    ShedError,
    TransientError,
)
from resources.gemini.models import names_model
from resources.redaction import kept_line

QUOTA_RESET_HOUR_UTC = 8
LONGEST_MESSAGE = 1_000
"""Characters kept of Google's message."""
LONGEST_PAGE = 300
"""Characters kept of a page that may be another server's."""

NOT_BILLED = frozenset({409, 425, 500, 503})
"""Failures that Google does not bill. After any other (a gateway's 502, a 504) the work may have been done."""
WRONG_REQUEST = frozenset({400, 411, 413, 414, 415, 422, 431})

_NO_CREDIT = re.compile(
    r"\blimit: 0(?!\d|\.\d)|\bcredits?\b.{0,40}\b(?:deplet|exhaust|used up|run out)|\bspend(?:ing)? cap\b", re.IGNORECASE
)
_BAD_KEY = re.compile(r"\bAPI[ _]key\b.*\b(?:invalid|expired|not valid|not found)", re.IGNORECASE)
_PARAMETERS = {
    "service_tier": re.compile(r"service[ _]?tier|\b(?:flex|priority) (?:api|inference|tier)\b", re.IGNORECASE),
    "thinking": re.compile(r"thinking|\bbudget -?\d+ is invalid", re.IGNORECASE),
    "temperature": re.compile(r"\btemperature\b", re.IGNORECASE),
    "top_p": re.compile(r"\btop_?p\b", re.IGNORECASE),
    "top_k": re.compile(r"\btop_?k\b", re.IGNORECASE),
    "penalty": re.compile("penalt(?:y|ies)", re.IGNORECASE),
}
"""The refusal's text by our name of a parameter: the first match counts."""
_Details = Sequence[Mapping[str, object]]


def failed_call(error: Exception) -> CallError:
    """The outcome of a call that ended with this exception instead of an HTTP response."""
    if isinstance(error, CallError):
        return error
    what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    if isinstance(error, (httpx2.InvalidURL, httpx2.UnsupportedProtocol, httpx2.LocalProtocolError)):
        return FatalCallError(f"no request can be made of GEMINI_BASE_URL and GEMINI_API_KEY ({what}): correct them")
    if isinstance(error, (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.ProxyError)):
        return TransientError(f"Gemini cannot be reached: {what}")
    if isinstance(error, httpx2.TimeoutException):
        return CallTimeoutError(f"the call to Gemini took too long: {what}", in_doubt=True)
    if isinstance(error, httpx2.RequestError):
        return TransientError(f"the call to Gemini broke off: {what}", in_doubt=True)
    return InvalidAnswerError(f"the call to Gemini ended in a way that nobody foresaw ({what})", chance=True)


def error_of(body: object) -> Mapping[str, object] | None:
    inner = body[0] if isinstance(body, list) and body else body
    error = inner.get("error") if isinstance(inner, dict) else None
    return error if isinstance(error, dict) else None


def classify_error(
    status: int,
    error: Mapping[str, object] | None,
    page: str,
    headers: Mapping[str, str],
    *,
    model: str,
    base_url: str = "",
    sheddable: bool = False,
) -> CallError:
    """The outcome of an error response. ``error`` is Google's own, if the body has one; ``page`` is the body's text.

    ``sheddable``: the call was made at flex.
    """
    word = kept_line(_text(error.get("status")), LONGEST_PAGE) if error else ""
    reported = kept_line(_text(error.get("message")), LONGEST_MESSAGE) if error else kept_line(page, LONGEST_PAGE)
    message = f"Gemini answered {status} {word}".strip() + f": {reported}"
    listed = error.get("details") if error else None
    details: _Details = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    if status == 402 or (status == 429 and (_NO_CREDIT.search(reported) or _of_quotas(details, "quotaValue") & {"0", "0.0"})):
        return FatalCallError(
            f"{message}. Waiting cures nothing: see to the billing of the account behind GEMINI_API_KEY (credit, spending cap, "
            "plan) at https://aistudio.google.com, then resume the world"
        )
    if status == 429:
        wait = _retry_after(headers, details)
        daily = any("PerDay" in quota for quota in _of_quotas(details, "quotaId"))
        if sheddable and not daily:
            return ShedError(message, retry_after=wait)
        reset = _until_reset(datetime.now(UTC)) if daily else 0.0
        return RateLimitedError(message, retry_after=max(wait or 0.0, reset) if daily else wait, daily=daily)
    if sheddable and status == 503:
        return ShedError(message, retry_after=_retry_after(headers, details))
    if sheddable and status == 504:
        return CallTimeoutError(message, in_doubt=True)
    if status in (408, 409, 425, 499) or status >= 500:
        return TransientError(message, in_doubt=status not in NOT_BILLED)
    if any(detail.get("reason") == "API_KEY_INVALID" for detail in details) or _BAD_KEY.search(reported) or status in (401, 403):
        return FatalCallError(f"{message}. Check GEMINI_API_KEY and what it may use", may_heal=True)
    if word == "FAILED_PRECONDITION":
        return FatalCallError(f"{message}. Check the billing and the region of the account behind GEMINI_API_KEY")
    if status == 404 and word == "NOT_FOUND" and names_model(reported, model):
        return ModelMissingError(f"model {model}: {message}")
    if status not in WRONG_REQUEST:
        return FatalCallError(_another_server(message, base_url), may_heal=True)
    if "deadline" in reported and "too short" in reported:
        return FatalCallError(f"{message}. Raise GEMINI_TIMEOUT_SECONDS, of pictures IMAGE_TIMEOUT_SECONDS")
    for parameter, refusal in _PARAMETERS.items():
        if error and refusal.search(reported):
            return ParameterRefusedError(f"model {model}: {message}", parameter=parameter)
    return RequestRejectedError(f"{message}. The request itself is wrong; asking the same again cannot help")


def _another_server(message: str, base_url: str) -> str:
    """The message about a response that Gemini never gives, or a 404 not about the model: another server, or a wrong path."""
    where = urlsplit(base_url)
    asked = f"{where.netloc.rpartition('@')[2]}{where.path}" if base_url else "Google"
    advice = (
        "correct GEMINI_BASE_URL, or unset it for Google's own address" if base_url else "look for a proxy on the way to Google"
    )
    return f"{message}. This is not what Gemini says of a request or of a model that is gone ({asked} was asked): {advice}"


def _text(value: object) -> str:
    """A scalar of a body as text; anything else is none."""
    return str(value) if isinstance(value, (str, int, float)) else ""


def _of_quotas(details: _Details, field: str) -> set[str]:
    """What this field of the violated quotas holds."""
    violations = [listed for detail in details if isinstance(listed := detail.get("violations"), list)]
    return {_text(one.get(field)) for listed in violations for one in listed if isinstance(one, dict)}


def _retry_after(headers: Mapping[str, str], details: _Details) -> float | None:
    """Seconds that RetryInfo names, else the Retry-After header; the outcome bounds them (``RateLimitedError``)."""
    for detail in details:
        if "retryDelay" in detail:
            return _seconds(_text(detail["retryDelay"]).removesuffix("s"))
    header = headers.get("retry-after", "")
    seconds = _seconds(header)
    return _until(header, datetime.now(UTC)) if seconds is None and header else seconds


def _seconds(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _until(text: str, now: datetime) -> float | None:
    """Seconds until an HTTP date, the other form that Retry-After may have (proxies use it)."""
    try:
        then = parsedate_to_datetime(text)
        return (then.replace(tzinfo=then.tzinfo or UTC) - now).total_seconds()
    except (ValueError, OverflowError, TypeError):
        return None


def _until_reset(now: datetime) -> float:
    """Seconds until a day's quota is there again: Google counts days by Pacific time, and in winter midnight is 08:00 UTC."""
    reset = now.replace(hour=QUOTA_RESET_HOUR_UTC, minute=0, second=0, microsecond=0)
    return ((reset if reset > now else reset + timedelta(days=1)) - now).total_seconds()
