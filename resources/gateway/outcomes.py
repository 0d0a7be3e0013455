"""How a call to an external API can end, as exceptions, the same for the language model, the image API and the platform.

A task may catch a refusal without knowing the provider: each provider's module classifies its errors, api_gateway.py handles them.
"""

import math

from resources.redaction import kept

LONGEST_RETRY_AFTER = 86_400.0
"""Seconds; no provider's demand to wait counts for more than a day."""


class CallError(Exception):
    """A call without a usable result. The message names what to do; its quotations are redacted and cut.

    Attributes:
        outcome: The name in the record of requests.
        is_answer: Whether the provider answered at all, so that it is not down.
        carried_out: Whether the provider may have done the work. If not, the call is given back to the limit of calls.
        cost_usd: What the provider charged all the same, in US dollars, where that is known.
    """

    outcome = "error"
    is_answer = False
    carried_out = True
    cost_usd = 0.0

    def __init__(self, message: str) -> None:
        super().__init__(kept(message))


class RateLimitedError(CallError):
    """The provider asked us to slow down (429).

    ``retry_after`` is the wait it asked for in seconds, or None; ``daily`` says that a day's quota is used up, which is an
    outage until the reset (then ``retry_after`` ends there). A wait that is not a number becomes None; longer ones are cut to
    ``LONGEST_RETRY_AFTER``.
    """

    outcome, is_answer, carried_out = "rate_limited", True, False

    def __init__(self, message: str, *, retry_after: float | None = None, daily: bool = False) -> None:
        super().__init__(message)
        asked = retry_after is not None and math.isfinite(retry_after)
        self.retry_after = min(max(retry_after or 0.0, 0.0), LONGEST_RETRY_AFTER) if asked else None
        self.daily = daily


class ShedError(RateLimitedError):
    """The provider shed a call at flex (429 or 503): it is busy with dearer ones. Says nothing about calls at standard."""

    outcome = "shed"


class TransientError(CallError):
    """The provider or the way to it failed for now: 5xx, time-out, reset or refused connection. Counts in the breaker.

    ``in_doubt`` says that the request may have been carried out (and billed) although no answer came; ``late``, that no answer
    came in time, so that the server may still be working on it.
    """

    outcome = "transient"

    def __init__(self, message: str, *, in_doubt: bool = False, late: bool = False) -> None:
        super().__init__(message)
        self.carried_out = self.in_doubt = in_doubt or late
        self.late = late


class AmbiguousError(TransientError):
    """An error that is neither proof of an outage nor of a bad request: the platform's INTERNAL and UNKNOWN. In doubt.

    The call is tried again like any other in an outage, but at most ``MOST_AMBIGUOUS`` times (poison.py).
    """

    def __init__(self, message: str) -> None:
        super().__init__(message, in_doubt=True)


class CallTimeoutError(TransientError):
    """No answer came within the time-out of the call."""


class AbandonedCallError(CallTimeoutError):
    """No answer came by the deadline of the call, and calls that were sent later have been answered (deadlines.py)."""


class RequestFailedError(CallError):
    """This one request fails, for whatever reason; other requests continue. It uses up an attempt of its task.

    Raised as this class for a poisonous call: every attempt failed while other calls of the API were answered, or too many ended
    in an ``AmbiguousError`` (poison.py).
    """

    outcome = "poisonous"


class RefusedError(RequestFailedError):
    """Moderation refused the request or its answer. ``reason`` is the provider's code (SAFETY, SPII, …)."""

    outcome, is_answer = "refused", True

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(message)
        self.reason = kept(reason, 100)


class InvalidAnswerError(RequestFailedError):
    """The call's answer is unusable: not JSON, cut short, or against the schema.

    ``cut``: the answer ended at the output limit, so that asking again needs more tokens. ``chance``: nothing in the request was
    the cause (an answer that cannot be read, that repeats itself, that stopped by itself), so the same request is sent again.
    Otherwise the message tells the model what to correct.
    """

    outcome, is_answer = "invalid", True

    def __init__(self, message: str, *, cut: bool = False, chance: bool = False) -> None:
        super().__init__(message)
        self.cut = cut
        self.chance = chance


class RequestRejectedError(RequestFailedError):
    """The provider calls this one request wrong (400). Asking the same again cannot help; another item's request may be right."""

    outcome, is_answer, carried_out = "rejected", True, False


class LostCallAllowanceError(RequestFailedError):
    """An item has used its share of the world's spare calls (durable/calls/ledger.py). No call was made."""

    outcome = "spare_used_up"


class ModelMissingError(CallError):
    """The model is not there (404). Its successor takes over, for the whole fleet; without one this is fatal."""

    outcome, is_answer, carried_out = "model_missing", True, False


class ParameterRefusedError(CallError):
    """The model refuses a parameter of the request (400). ``parameter`` names it.

    The successor is asked if its profile sends that parameter differently, else the same model without it (model_resolver.py).
    """

    outcome, is_answer, carried_out = "parameter_refused", True, False

    def __init__(self, message: str, *, parameter: str) -> None:
        super().__init__(message)
        self.parameter = parameter


class FatalCallError(CallError):
    """Asking again cannot help: a bad key, a missing right, an account without billing. Stop at once.

    ``may_heal``: the request is right, and the cause may be corrected without a change on our side (a refused key, a proxy's page,
    an unknown status code). From an API that has answered before it counts as an outage (api_gateway.py): the world waits, and
    fails only after it was resumed in vain for a while.
    """

    outcome, is_answer = "fatal", True

    def __init__(self, message: str, *, may_heal: bool = False) -> None:
        super().__init__(message)
        self.may_heal = may_heal


class OutageTimeoutError(CallError):
    """An outage lasted longer than PATIENCE_SECONDS. The world is suspended and can be resumed; nothing is lost.

    ``retry_after``: seconds until the end that the provider announced (a day's quota), else None. ``may_last``: the provider
    answers and refuses, so that the outage may never end: the world is resumed a bounded number of times.
    """

    outcome = "outage"

    def __init__(self, message: str, *, retry_after: float | None = None, may_last: bool = False) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.may_last = may_last


class BudgetExhaustedError(CallError):
    """The world's limit of calls or dollars is reached. The message names it. No call was made."""

    outcome = "budget_exhausted"


class LeaseLostError(CallError):
    """Another run owns this world now. This run stops itself and writes nothing more."""

    outcome = "lost_world"
