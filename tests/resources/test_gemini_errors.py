"""Error responses of Gemini that the emulator cannot give."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from resources.gateway.outcomes import RateLimitedError
from tests.support.gemini_server import failed, meaning


def wait_told_by(header: str) -> float | None:
    """The wait of a 429 with this Retry-After."""
    classified = meaning(429, failed(429, "RESOURCE_EXHAUSTED"), {"retry-after": header})
    assert isinstance(classified, RateLimitedError)
    return classified.retry_after


@pytest.mark.parametrize("ahead", [90, 3_600])
def test_a_date_in_retry_after_is_a_wait_like_any_other(ahead: int) -> None:
    """Proxies answer with a date instead of seconds; the wait is the time until then."""
    wait = wait_told_by(format_datetime(datetime.now(UTC) + timedelta(seconds=ahead), usegmt=True))
    assert wait is not None
    assert ahead - 5 < wait <= ahead


@pytest.mark.parametrize(
    ("header", "wait"), [("Wed, 21 Oct 2015 07:28:00 GMT", 0.0), ("0", 0.0), ("17", 17.0), ("-3", 0.0), ("soon", None), ("", None)]
)
def test_a_past_date_is_no_wait_and_an_unreadable_one_is_unknown(header: str, wait: float | None) -> None:
    """No value of the header leads to a wait for a past moment, or to an exception."""
    assert wait_told_by(header) == wait
