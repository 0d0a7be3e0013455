"""Service tiers of the Gemini API (facts of 2026-11): what a world is ordered at, and what one call asks for and gets.

* **flex** costs half. It is synchronous, may take up to 15 minutes, and is shed with a 429 or 503 while the API is busy.
* **priority** costs 1.8 times as much and is never shed. What exceeds its quota is served, and billed, as standard.
* **economy** is ours: what the first posts of a world need is asked at standard, everything else at flex.

A request names its tier in ``serviceTier``. An answer names the tier that served it in ``usageMetadata.serviceTier``, and in the
header ``x-gemini-service-tier``. Which call of a world gets which tier: generia_assets/content/plan.py.
"""

from enum import StrEnum


class CallTier(StrEnum):
    """The tier of one call."""

    STANDARD = "standard"
    FLEX = "flex"
    PRIORITY = "priority"


class ServiceTier(StrEnum):
    """The tier of a world, by the values of SERVICE_TIER and of an order's ``service_tier``."""

    STANDARD = "standard"
    FLEX = "flex"
    PRIORITY = "priority"
    ECONOMY = "economy"


def flex_at_once(limit: int) -> int:
    """Calls at flex at once, of so many at all tiers (R17): a third of the slots is kept for calls that somebody waits for."""
    return limit - limit // 3


def tiers_served(named: object, asked: CallTier) -> tuple[CallTier, ...]:
    """The tiers at which an answer may be billed, where it names its tier like this and this one was asked for.

    The tier that it names. Where it names none, the one that was asked for or standard; where we do not know the name, any.
    """
    if not isinstance(named, str) or not named:
        return tuple({asked, CallTier.STANDARD})
    known = {tier.value: (tier,) for tier in CallTier} | {"unspecified": (CallTier.STANDARD,)}
    return known.get(named.strip().lower(), tuple(CallTier))
