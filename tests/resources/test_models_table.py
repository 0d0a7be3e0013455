"""A20: what follows from the table of models and the date; and the errors of an invalid table."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from resources.gateway.calls import TokenUsage
from resources.gemini.models import (
    ModelProfile,
    ModelTableError,
    asked_at,
    changes,
    dearest,
    model_profiles,
    price_of,
    profile_of,
    read_table,
)

pytestmark = pytest.mark.case("A20")

PER = "per million tokens"
PACIFIC = timezone(timedelta(hours=-8))


@pytest.mark.parametrize(
    ("version", "profile"),
    [
        ("gemini-2.5-flash", "gemini-2.5-flash"),
        ("models/gemini-2.5-flash", "gemini-2.5-flash"),
        ("publishers/google/models/gemini-2.5-flash", "gemini-2.5-flash"),
        ("gemini-2.5-flash-001", "gemini-2.5-flash"),
        ("gemini-2.5-flash-preview-09-2025", "gemini-2.5-flash"),
        ("gemini-2.5-flash-lite-001", "gemini-2.5-flash-lite"),
        ("gemini-3.5-flash-lite-preview-09-2026", "gemini-3.5-flash-lite"),
        ("gemini-3.5-flash-09-2026", "gemini-3.5-flash"),
        ("gemini-3.8-flash-latest", "gemini-3.8-flash"),
        ("gemini-2.5-flash-image", None),
        ("gemini-3.8-flash-lite", None),
        ("gemini-2.5-flashy", None),
        ("gemini-9-ultra", None),
        ("x" * 10_000, None),
        ("", None),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_version_belongs_to_the_longest_matching_id(version: str, profile: str | None) -> None:
    """A version number or date does not make another model; another word does."""
    found = profile_of(version)
    assert (found.id if found else None) == profile


@pytest.mark.parametrize(
    ("model", "moment", "asked"),
    [
        ("gemini-2.5-flash", datetime(2026, 11, 30, 23, 59, tzinfo=UTC), "gemini-2.5-flash"),
        ("gemini-2.5-flash", datetime(2026, 12, 1, tzinfo=UTC), "gemini-3.5-flash-lite"),
        ("gemini-2.5-flash", datetime(2026, 11, 30, 16, tzinfo=PACIFIC), "gemini-3.5-flash-lite"),
        ("gemini-2.5-flash", datetime(2030, 1, 1, tzinfo=UTC), "gemini-3.5-flash-lite"),
        ("gemini-3.8-flash", datetime(2030, 1, 1, tzinfo=UTC), "gemini-3.8-flash"),
    ],
)
def test_from_the_day_of_its_end_on_the_successor_is_used(model: str, moment: datetime, asked: str) -> None:
    """The day counts by UTC, so that no call is wasted."""
    assert asked_at(model, moment).id == asked


@pytest.mark.parametrize(
    ("first", "last", "output"),
    [
        (datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC), None, 3.75),
        (datetime(2027, 1, 1, tzinfo=UTC), None, 7.50),
        (datetime(2026, 12, 31, 16, tzinfo=PACIFIC), None, 7.50),
        (datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC), datetime(2027, 1, 1, 0, 0, 1, tzinfo=UTC), 7.50),
        (datetime(2026, 12, 31, 12, tzinfo=UTC), datetime(2027, 1, 1, 12, tzinfo=UTC), 7.50),
    ],
)
def test_a_new_price_applies_from_its_day_on(first: datetime, last: datetime | None, output: float) -> None:
    """The price of 3.8-flash doubles on 1 January by UTC; a call over midnight has the higher price."""
    assert model_profiles()["gemini-3.8-flash"].price(first, last).output == output


def test_a_lower_price_applies_when_the_day_has_begun_for_the_provider_too(tmp_path: Path) -> None:
    """Until midnight Pacific time the earlier, higher price counts."""
    falling = "[{input: 2, output: 8, cached: 1}, {from: 2027-01-01, input: 1, output: 4, cached: 0.5}]"
    profile = table(tmp_path, prices=falling)["m"]
    assert profile.price(datetime(2027, 1, 1, 7, 59, tzinfo=UTC)).output == 8
    assert profile.price(datetime(2027, 1, 1, 8, tzinfo=UTC)).output == 4


def test_an_answer_is_priced_by_its_model_and_an_unknown_model_by_the_highest_price() -> None:
    """A known version has its own price; an unknown one has the highest of all; an answer without a model has the highest price of
    the successors."""
    day, million = datetime(2026, 12, 2, tzinfo=UTC), TokenUsage(prompt=1_000_000, output=1_000_000)
    asked = model_profiles()["gemini-3.8-flash"]
    assert price_of("gemini-3.1-flash-lite", asked, day, day).cost_usd(million) == pytest.approx(1.75)
    assert price_of("", model_profiles()["gemini-2.5-flash"], day, day).cost_usd(million) == pytest.approx(2.80)
    everything = dearest(profile.price(day) for profile in model_profiles().values())
    assert price_of("gemini-9", asked, day, day) == everything
    assert all(everything.cost_usd(million) >= profile.price(day).cost_usd(million) for profile in model_profiles().values())


@pytest.mark.parametrize(
    ("model", "moment", "said"),
    [
        (
            "gemini-2.5-flash",
            datetime(2026, 11, 28, tzinfo=UTC),
            ["gemini-2.5-flash ends 2026-12-01; gemini-3.5-flash-lite is asked then"],
        ),
        (
            "gemini-2.5-flash",
            datetime(2026, 12, 1, tzinfo=UTC),
            ["gemini-2.5-flash ended 2026-12-01; gemini-3.5-flash-lite is asked instead"],
        ),
        (
            "gemini-3.8-flash",
            datetime(2026, 11, 28, tzinfo=UTC),
            [f"gemini-3.8-flash costs $1.50 in and $7.50 out {PER} from 2027-01-01 on; now $0.75 in and $3.75 out {PER}"],
        ),
        ("gemini-3.8-flash", datetime(2027, 1, 1, tzinfo=UTC), []),
    ],
)
def test_changes_are_listed_with_their_day(model: str, moment: datetime, said: list[str]) -> None:
    """Ends and new prices of the configured model and of its successors."""
    assert [change.sentence for change in changes(model, moment)] == said


def table(tmp_path: Path, **wrong: str) -> Mapping[str, ModelProfile]:
    """The profiles of a table of one model, by default a good one."""
    entries = {"thinking": "low", "prices": "[{input: 1, output: 2, cached: 0.1}]", **wrong}
    entries = {"sampling": "false", "max_output_tokens": "100", **entries}
    path = tmp_path / "models.yaml"
    path.write_text("m:\n" + "".join(f"  {name}: {value}\n" for name, value in entries.items()))
    return read_table(path, ModelProfile)


@pytest.mark.parametrize(
    ("entry", "value", "said"),
    [
        ("prices", "[]", r"m\.prices: .*at least 1"),
        ("prices", "[{input: 1, output: -2, cached: 0}]", r"m\.prices\.0\.output: .*greater than or equal to 0"),
        ("prices", "[{input: 1, output: .nan, cached: 0}]", r"m\.prices\.0\.output: .*finite"),
        ("prices", "[{from: 2027-01-01, input: 1, output: 2, cached: 0}]", "m: .*the first has no 'from'"),
        ("prices", "[{input: 1, output: 2, cached: 0}, {input: 2, output: 2, cached: 0}]", "m: .*the others have one each"),
        ("prices", "[{from: soon, input: 1, output: 2, cached: 0}]", r"m\.prices\.0\.from: .*date"),
        ("thinking", "-1", "m.thinking.*greater than or equal to 0"),
        ("thinking", "lowest", "m.thinking.*'minimal', 'low', 'medium' or 'high'"),
        ("until", "2027-01-01", "m: .*needs a successor"),
        ("successor", "n", r"m\.successor: n has no profile"),
        ("successor", "m", r"m\.successor: m is its own successor in the end"),
        ("colour", "red", r"m\.colour: Extra inputs"),
        ("prices", "[", "is no table of models by id"),
    ],
)
def test_an_invalid_table_is_refused_with_file_model_and_entry(tmp_path: Path, entry: str, value: str, said: str) -> None:
    """A mistake in models.yaml is reported when it is read, not by a failed world."""
    with pytest.raises(ModelTableError, match=rf"models\.yaml.*{said}"):
        table(tmp_path, **{entry: value})
