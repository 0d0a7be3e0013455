"""``python -m bench.answers``: worlds whose model gives damaged answers of each kind, and whose moderation refuses every fifth
request.

It tries each kind of damage alone (with --quick each family of kinds), all kinds at once, then refusals. Every world must be exact.
No damaged answer is stored, each damaged answer is requested again with the reason, and each refusal is marked. Damaged answers and
refusals cost calls, and the number of calls is limited (BUDGET_SPARE: a quarter more than computed). One kind of damage to a tenth
of the answers stays below this limit; refusals of a fifth of the requests do so in most worlds. Worse cases run with more spare
calls. One case runs with the default: the world must end with a message that tells a person what to do, and must complete exactly
when it gets more calls.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pydantic import JsonValue
from rich.console import Console

from bench.moderation import refusals, words_in_a_tenth
from bench.report import Options, Report, run
from bench.stack import IMPATIENT, TestStack
from bench.trials import Bench, Outcome, Trial
from emulators.gemini.stats import RecordedRequest
from generia_assets.durable.calls.clients import CONTROL_REQUEST, MOST_OUTPUT
from generia_assets.durable.status import SuspendReason
from generia_assets.durable.tasks.control import ResumeOptions

FAMILIES = {
    "unreadable": ("truncated_json", "fenced_json", "broken_json"),
    "empty": ("empty_answer", "empty_body", "html"),
    "wrong": ("wrong_types", "wrong_language", "bad_comments"),
    "miscounted": ("too_few", "too_many", "repeated_names"),
    "hostile": ("hostile_text", "split_text"),
    "by chance": ("looped", "stopped", "continued", "odd_shape", "odd_usage"),
}
DAMAGE = tuple(kind for kinds in FAMILIES.values() for kind in kinds)
DEFAULT_SPARE = {"BUDGET_SPARE": "0.25"}
HEADINGS = ("trial", "people/posts", "calls", "damaged", "refused", "asked again", "wrong")


COMPLAINT = "Your last answer could not be used."
"""How the part of a request begins that says what was wrong about the last answer (content/prompt.py)."""

_SHORT = "\nLength: 2 to 8 words"
"""Of a post whose language is not checked."""
SPOILED = frozenset({"broken_json", "empty_answer", "empty_body", "wrong_language"})
"""Damage that makes an answer unusable, so that the next request must say what was wrong. A field of a wrong type need not: what
nobody publishes is repaired (content/fields.py).
"""

BY_CHANCE = frozenset({"html", "looped", "stopped", "continued", "odd_shape"})
"""What is not the request's fault: it is made again as it was."""


@dataclass(frozen=True)
class Asked:
    """One request as the emulator received it: its item, its complaint, and its limit of output tokens."""

    item: tuple[str, ...]
    complaint: str
    max_output_tokens: int
    outcome: str
    for_painters: bool
    """Every field asked for is in English whatever the world's language: nothing to write in a wrong one."""


def asked(request: RecordedRequest) -> Asked:
    """Parse the body of a request."""
    body = request.body if isinstance(request.body, dict) else {}
    parts = [str(part.get("text")) for turn in _dicts(body.get("contents")) for part in _dicts(turn.get("parts"))]
    complaint = parts.pop() if parts and parts[-1].startswith(COMPLAINT) else ""
    config = body.get("generationConfig")
    max_output_tokens = (config.get("maxOutputTokens") or config.get("max_output_tokens")) if isinstance(config, dict) else 0
    schema = (config.get("responseJsonSchema") or config.get("response_json_schema")) if isinstance(config, dict) else {}
    fields = schema.get("properties") if isinstance(schema, dict) else {}
    for_painters = isinstance(fields, dict) and all(name.endswith("_prompt") for name in fields)
    return Asked(tuple(parts), complaint, int(str(max_output_tokens)), request.outcome, for_painters)


def not_asked_again(requests: Sequence[RecordedRequest]) -> list[str]:
    """One sentence for each damaged answer that no later request repeats. Control calls (resources/gateway/poison.py) are made
    once."""
    all_asked = [one for one in map(asked, requests) if one.item != tuple(CONTROL_REQUEST.parts)]
    wrong = []
    for place, one in enumerate(all_asked):
        later = [other for other in all_asked[place + 1 :] if other.item == one.item]
        harmless = one.outcome == "wrong_language" and (one.for_painters or _SHORT in one.item[-1])
        next_attempt = bool(one.complaint and later)  # the last answer of an attempt: the next attempt begins without complaints
        if one.outcome in SPOILED and not harmless and not next_attempt and not any(other.complaint for other in later):
            wrong.append(f"{one.outcome}: not asked again with what was wrong: {one.item[-1][:60]!r}")
        most = MOST_OUTPUT * min(
            other.max_output_tokens for other in all_asked if other.item == one.item
        )  # then the attempt has failed
        if (
            one.outcome == "truncated_json"
            and one.max_output_tokens < most
            and not any(other.max_output_tokens > one.max_output_tokens for other in later)
        ):
            wrong.append(f"cut short: not asked again with a higher limit of tokens: {one.item[-1][:60]!r}")
        if one.outcome in BY_CHANCE and not later:
            wrong.append(f"{one.outcome}: not asked again: {one.item[-1][:60]!r}")
    return wrong


def _dicts(value: JsonValue) -> list[dict[str, JsonValue]]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def trials(options: Options) -> Iterator[Trial]:
    """Each kind of damage alone to a tenth of the answers, then all at once; of a small world, each family of kinds."""
    if options.quick:
        for place, (name, kinds) in enumerate(FAMILIES.items()):
            rate = 0.5 if name == "hostile" else 0.2  # hostile text has six kinds of its own
            # The first call invents the world: damaged too often, it may end in another language.
            faults = dict.fromkeys(kinds, rate) | {"after_calls": 1}
            yield Trial(name, faults, 3, 6, "English" if place % 2 else "Russian")
        return
    for kind in DAMAGE:
        for number, language in enumerate(("Russian", "English")):
            yield Trial(kind, {kind: 0.1}, 8, 30, language, number, DEFAULT_SPARE)
    for number in range(3):
        yield Trial("all at once", dict.fromkeys(DAMAGE, 0.02), 12, 50, "Russian" if number % 2 else "English", number)


def harness(options: Options, console: Console) -> Report:
    report = Report(ok=True, figures={}, headings=HEADINGS, rows=[])
    wrong: list[str] = []
    figures = {"worlds": 0, "calls": 0, "damaged": 0, "refused": 0, "deleted_posts": 0, "softened_posts": 0, "milder_pictures": 0}
    rows: list[tuple[object, ...]] = []
    met: set[str] = set()

    def note(outcome: Outcome, more: list[str]) -> None:
        trial, refused = outcome.trial, outcome.hits["prompt_blocked"] + outcome.hits["answer_blocked"]
        damaged = outcome.hits.total() - refused
        again = sum("could not be used" in str(request.body) for request in outcome.requests)
        found = [*outcome.wrong, *more]
        rows.append((trial.name, f"{trial.users}/{trial.posts}", outcome.stats.calls, damaged, refused, again, len(found)))
        wrong.extend(f"{trial.name} ({trial.language}): {sentence}" for sentence in found)
        console.print(*rows[-1])
        met.update(outcome.hits)
        figures["worlds"] += 1
        figures["calls"] += outcome.stats.calls
        figures["damaged"] += damaged
        figures["refused"] += refused

    with TestStack(settings=IMPATIENT, seed=options.seed) as stack:
        bench = Bench(stack, options.seed)
        for trial in trials(options):
            outcome = bench.run(trial)
            never = [] if outcome.hits or trial.name == "split_text" else ["no call was met by the fault"]
            note(outcome, [*not_asked_again(outcome.requests), *never])
        with stack.database() as database:
            words = words_in_a_tenth(database, outcome.world_id, number=8)
            moderated = bench.run(_moderated(options, words))
            refused = refusals(database, moderated.world_id, language=moderated.trial.language)
        note(moderated, refused.wrong if refused.refused.total() else ["nothing was refused"])
        figures |= {
            "deleted_posts": refused.deleted_posts,
            "softened_posts": refused.softened_posts,
            "drawn_people": refused.drawn_people,
            "milder_pictures": refused.milder_pictures,
        }
        for outcome, more in (*_refused_world(bench), *_default_spare(bench, options), *_refusals_within_spare(bench, options)):
            note(outcome, more)
    report.rows, report.figures, report.remarks = rows, {**figures, "kinds_met": sorted(met), "wrong": wrong}, wrong
    report.ok = not wrong
    return report


def _moderated(options: Options, words: list[str]) -> Trial:
    """Moderation refuses a fifth of the requests (two fifths in a small world) and some pictures."""
    users, posts, rate = (3, 9, 0.2) if options.quick else (12, 60, 0.1)
    # The first call invents the world; another trial tests its refusal.
    faults = {"prompt_blocked": rate, "answer_blocked": rate, "after_calls": 1}
    return Trial("moderation", faults, users, posts, settings={"IMAGE_STUB_REFUSED_WORDS": ",".join(words)})


def _refused_world(bench: Bench) -> Iterator[tuple[Outcome, list[str]]]:
    """If moderation refuses the sentence, the smallest world fails within its few calls, with a message that tells its user what to
    do."""
    outcome = bench.run(Trial("refused sentence", {"prompt_blocked": 1.0}, 1, 0, settings=DEFAULT_SPARE))
    outcome.wrong.clear()  # nothing can be exact about it
    more = []
    if outcome.status.status != "failed" or "Word it differently" not in outcome.status.message:
        more.append(f"it is {outcome.status.status} and says {outcome.status.message!r}")
    yield outcome, more


def _default_spare(bench: Bench, options: Options) -> Iterator[tuple[Outcome, list[str]]]:
    """With the default spare calls, posts that never come whole end the world at its limit of calls; with more calls and another
    try of the failed posts it completes exactly. Each post can use half of the spare calls: a few use up all, in any order."""
    users, posts = (2, 4) if options.quick else (6, 20)
    # The field is of nothing but a post.
    never_a_post: dict[str, float | str] = {"broken_json": 1.0, "only_matching": '"time_of_day"'}
    first = bench.run(Trial("default spare", never_a_post, users, posts, settings=DEFAULT_SPARE))
    more = []
    status = first.status
    if status.status != "failed" or not status.resumable or "--more-calls" not in status.message:
        more.append(f"it is {status.status}, resumable={status.resumable}, and says {status.message!r}")
    if status.api_calls_made_LLM > status.api_call_limits_LLM or first.stats.calls > status.api_call_limits_LLM:
        more.append(f"{first.stats.calls} calls were made, {status.api_call_limits_LLM} were allowed")
    first.wrong.clear()  # unfinished on purpose
    yield first, more
    if more:
        return
    # No item has twelve answers that are all damaged by chance.
    resumed = bench.go_on(first, ResumeOptions(more_calls=40 * posts, retry_failed=True), {"broken_json": 0.3})
    # Calls that were cut off at the limit were never stored: the same requests are sent again.
    yield resumed, not_asked_again(resumed.requests[len(first.requests) :])


def _refusals_within_spare(bench: Bench, options: Options) -> Iterator[tuple[Outcome, list[str]]]:
    """A fifth of all requests refused mostly fits into the default spare; a world that it does not suffice goes on to its end.

    Each refusal costs a call, so that 25 people and 150 posts take 247 of their 257 calls on average, give or take six.
    """
    if options.quick:
        return
    stopped = 0
    for number in range(3):
        faults = {"prompt_blocked": 0.1, "answer_blocked": 0.1}
        first = bench.run(Trial("refusals, default spare", {**faults, "after_calls": 1}, 25, 150, "English", number, DEFAULT_SPARE))
        if first.status.parked is None or first.status.parked.kind != SuspendReason.BUDGET:
            yield first, []
            continue
        stopped += 1
        first.wrong.clear()  # unfinished, and paid for
        yield first, []
        yield (
            bench.go_on(first, ResumeOptions(more_calls=100), faults),
            ["the limit stopped most of the worlds"] if stopped > 1 else [],
        )


if __name__ == "__main__":
    run("answers", __doc__.splitlines()[0], harness)
