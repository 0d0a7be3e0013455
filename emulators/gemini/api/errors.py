"""Google's errors, with the bodies Google sends (google.rpc.Status and its details).

Here: the one exception class and a function for each refusal that does not depend on the request's content.
Not here: which request is refused (rules.py, schema.py, wire.py) and when a quota is used up (quotas.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import JsonValue

_RPC = "type.googleapis.com/google.rpc."
_SERVICE = "generativelanguage.googleapis.com"
_OVER_QUOTA = (
    "You exceeded your current quota, please check your plan and billing details. "
    "For more information on this error, head to: https://ai.google.dev/gemini-api/docs/rate-limits."
)


class GoogleError(Exception):
    """A refusal: HTTP status, Google's status word, its message and details. ``outcome`` is the name under which it is counted."""

    def __init__(
        self,
        code: int,
        status: str,
        message: str,
        *,
        outcome: str,
        details: Sequence[JsonValue] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.status = status
        self.message = message
        self.outcome = outcome
        self.details = list(details)
        self.headers = dict(headers or {})

    def body(self) -> dict[str, JsonValue]:
        """The JSON body. Without details the key is left out, as in Google's errors."""
        error: dict[str, JsonValue] = {"code": self.code, "message": self.message, "status": self.status}
        if self.details:
            error["details"] = self.details
        return {"error": error}


def invalid_argument(message: str, *details: JsonValue) -> GoogleError:
    """A request Google calls wrong (400)."""
    return GoogleError(400, "INVALID_ARGUMENT", message, outcome="invalid_argument", details=details)


def bare_invalid_argument() -> GoogleError:
    """The 400 without a reason, with which 3.x models answer a schema that they cannot serve."""
    return invalid_argument("Request contains an invalid argument.")


def bad_payload(violations: Sequence[tuple[str, str]]) -> GoogleError:
    """A body that does not parse as the request message: (field path or '', description) for each violation."""
    fields: list[JsonValue] = [
        {"field": field, "description": text} if field else {"description": text} for field, text in violations
    ]
    detail: JsonValue = {"@type": f"{_RPC}BadRequest", "fieldViolations": fields}
    return invalid_argument("\n".join(text for _, text in violations), detail)


def bad_key() -> GoogleError:
    """An invalid key: 400, not 401."""
    message = "API key not valid. Please pass a valid API key."
    return GoogleError(
        400,
        "INVALID_ARGUMENT",
        message,
        outcome="bad_key",
        details=[
            {
                "@type": f"{_RPC}ErrorInfo",
                "reason": "API_KEY_INVALID",
                "domain": "googleapis.com",
                "metadata": {"service": _SERVICE},
            },
            {"@type": f"{_RPC}LocalizedMessage", "locale": "en-US", "message": message},
        ],
    )


def no_key() -> GoogleError:
    """No key at all (403)."""
    message = (
        "Method doesn't allow unregistered callers (callers without established identity). "
        "Please use API Key or other form of API consumer identity to call this API."
    )
    return GoogleError(403, "PERMISSION_DENIED", message, outcome="bad_key")


def unauthenticated() -> GoogleError:
    """Expired credentials (401)."""
    message = (
        "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid "
        "authentication credential. See https://developers.google.com/identity/sign-in/web/devconsole-project."
    )
    return GoogleError(401, "UNAUTHENTICATED", message, outcome="unauthenticated")


def unknown_model(name: str, version: str) -> GoogleError:
    """A model that never existed (404)."""
    message = (
        f"models/{name} is not found for API version {version}, or is not supported for generateContent. "
        "Call ListModels to see the list of available models and their supported methods."
    )
    return GoogleError(404, "NOT_FOUND", message, outcome="model_missing")


def retired_model(name: str) -> GoogleError:
    """A retired model (404)."""
    message = (
        f"This model models/{name} is no longer available. "
        "Please update your code to use a newer model for the latest features and improvements."
    )
    return GoogleError(404, "NOT_FOUND", message, outcome="model_missing")


def quota_exceeded(
    *, quota_id: str, limit: int, model: str, retry_after: float | None, outcome: str, header: bool = False
) -> GoogleError:
    """A used-up quota (429), with QuotaFailure and, if ``retry_after`` (seconds) is given, the time to wait.

    ``header`` puts the wait into a Retry-After header instead of RetryInfo.
    """
    metric = f"{_SERVICE}/generate_requests_per_model"
    lines = [
        _OVER_QUOTA,
        f"* Quota exceeded for metric: {metric}, limit: {limit}, model: {model}",
    ]
    details: list[JsonValue] = [
        {"@type": f"{_RPC}Help", "links": [{"description": "Learn more about Gemini API quotas"}]},
        {
            "@type": f"{_RPC}QuotaFailure",
            "violations": [
                {
                    "quotaMetric": metric,
                    "quotaId": quota_id,
                    "quotaDimensions": {"location": "global", "model": model},
                    "quotaValue": str(limit),
                }
            ],
        },
    ]
    headers: dict[str, str] = {}
    if retry_after is not None and header:
        headers["Retry-After"] = f"{retry_after:g}"
    elif retry_after is not None:
        lines.append(f"Please retry in {retry_after:.9f}s.")
        details.append({"@type": f"{_RPC}RetryInfo", "retryDelay": f"{retry_after:g}s"})
    return GoogleError(429, "RESOURCE_EXHAUSTED", "\n".join(lines), outcome=outcome, details=details, headers=headers)


def exhausted(outcome: str) -> GoogleError:
    """A 429 without a time to wait."""
    message = "Resource has been exhausted (e.g. check quota)."
    return GoogleError(429, "RESOURCE_EXHAUSTED", message, outcome=outcome)


def no_credit() -> GoogleError:
    """A 429 that waiting does not resolve: no credit."""
    message = "Your prepayment credits are depleted. Please go to AI Studio at https://ai.studio/projects to manage your billing."
    return GoogleError(429, "RESOURCE_EXHAUSTED", message, outcome="no_credit")


def internal() -> GoogleError:
    """The 500."""
    message = (
        "An internal error has occurred. Please retry or report in https://developers.generativeai.google/guide/troubleshooting"
    )
    return GoogleError(500, "INTERNAL", message, outcome="internal")


def unavailable() -> GoogleError:
    """The 503."""
    return GoogleError(503, "UNAVAILABLE", "The model is overloaded. Please try again later.", outcome="unavailable")


def shed(*, limited: bool) -> GoogleError:
    """The answer to a call at flex while there is no capacity: a 429 or a 503, both without a time to wait."""
    if limited:
        return exhausted("shed")
    message = "This model is currently experiencing high demand. Spikes in demand are usually temporary. Please try again later."
    return GoogleError(503, "UNAVAILABLE", message, outcome="shed")


def deadline_exceeded() -> GoogleError:
    """The 504."""
    message = "The request timed out. Please try again."
    return GoogleError(504, "DEADLINE_EXCEEDED", message, outcome="deadline_exceeded")
