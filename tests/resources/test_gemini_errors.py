"""What an error response of Gemini means for us, where the emulator cannot be made to say it."""

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
    """Proxies answer with a date instead of seconds; the wait is what is left until then."""
    wait = wait_told_by(format_datetime(datetime.now(UTC) + timedelta(seconds=ahead), usegmt=True))
    assert wait is not None
    assert ahead - 5 < wait <= ahead


@pytest.mark.parametrize(
    ("header", "wait"), [("Wed, 21 Oct 2015 07:28:00 GMT", 0.0), ("0", 0.0), ("17", 17.0), ("-3", 0.0), ("soon", None), ("", None)]
)
def test_what_is_past_is_no_wait_and_what_cannot_be_read_is_unknown(header: str, wait: float | None) -> None:
    """Nothing in the header can make us wait for a moment that is over, or break the answer."""
    assert wait_told_by(header) == wait
