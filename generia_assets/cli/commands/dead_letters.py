"""``generia dead-letters``: messages that were no orders, with the reason, and sending a corrected one again.

Here: the list, and correcting. A letter stays in its topic; what is sent again is a new message.
Not here: what is wrong with a message; the sensor validates the corrected one like every other.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import JsonValue

from generia_assets.cli.connections import addresses, open_database, settings
from generia_assets.cli.console import CommandError, command_name, remarks, results, safe_line
from generia_assets.cli.guard import EXIT_STATUSES, guarded
from generia_assets.cli.main import PLAIN, Documented, DocumentedGroup
from generia_assets.cli.options import Json, argument, flag, limit_option, option
from generia_assets.cli.rendering.formats import as_json, print_limit, print_result

if TYPE_CHECKING:
    from generia_assets.durable.orders.intake import HeldPartition, StoredDeadLetter
    from resources.kafka.dead_letters import DeadLetter

SHOWN = 120

LETTERS = 20

Limit = Annotated[int | None, limit_option(LETTERS, 10_000, what="The last so many")]
AsJson = Annotated[bool, flag("--json", "One JSON object a line, with the whole message.")]
Place = Annotated[str, argument("OFFSET", "Its offset, or its place, as the list shows it.")]
Held = Annotated[str, argument("PARTITION:OFFSET", "Where the partition is held up, as the list shows it.")]
Corrected = Annotated[Path | None, option("--file", "FILE", "The corrected message: a file that holds one JSON object.")]
Edit = Annotated[
    list[str] | None, option("--edit", "FIELD=VALUE", "Change a field: parameters.users_count=3. No value takes it out.")
]

dead_letters = typer.Typer(
    name="dead-letters", cls=DocumentedGroup, epilog=EXIT_STATUSES, subcommand_metavar="[COMMAND] [ARGS]...", **PLAIN
)


@dead_letters.callback(invoke_without_command=True)
@guarded
def list_letters(context: typer.Context, limit: Limit = None, in_json: AsJson = False) -> None:
    """Messages that were no orders: see them with their reasons, and send corrected ones again.

    Without COMMAND they are listed, oldest first, each with its offset, its reason and its beginning; `resend` sends a corrected
    one again. A letter stays in its topic. Listed last: what MongoDB keeps until the topic takes it, and record batches that
    cannot be read and hold up their partition until they can, or until `skip` leaves them out.

    \b
    generia dead-letters --limit 100
    generia dead-letters resend 7 --edit parameters.users_count=3
    generia dead-letters --json | jq -r .reason | sort | uniq -c
    """
    from generia_assets.durable.orders.intake import StoredDeadLetter, held_partitions, kept
    from resources.kafka.dead_letters import last_letters
    from resources.mongodb.connection import MongoUnavailableError

    if context.invoked_subcommand:
        return
    chosen = settings()
    most = limit if in_json else limit or LETTERS
    letters: list[DeadLetter | StoredDeadLetter] = []
    letters += last_letters(addresses(chosen).kafka, chosen.kafka_dead_letters_topic, None if most is None else most + 1)
    held: list[HeldPartition] = []
    try:
        with open_database() as database:
            letters += kept(database, 0 if most is None else most + 1, newest=True)
            held = held_partitions(database)
    except MongoUnavailableError as error:
        if not in_json:
            remarks().print(f"Letters that MongoDB keeps are not listed: {error}")
    console = results()
    if most is not None and len(letters) > most:
        letters = letters[-most:]
        print_limit(most, json=in_json)
    if in_json:
        for one in (*letters, *held):
            typer.echo(as_json(_as_fields(one)))
        return
    if not letters and not held:
        console.print(f"There are no dead letters in topic {chosen.kafka_dead_letters_topic}.")
        return
    for letter in letters:
        console.print(f"{letter.place:>6}  {letter.at:%Y-%m-%d %H:%M:%S} UTC  from {_origin(letter)}")
        console.print(f"        {safe_line(letter.headers.get('reason', ''))}")
        console.print(f"        {safe_line(letter.value[: 4 * SHOWN].decode('utf-8', 'replace'), SHOWN)}")
        if isinstance(letter, StoredDeadLetter):
            console.print(f"        kept in MongoDB until its topic takes it: {safe_line(letter.why)}")
    if letters:
        console.print(
            f"To send one again: {command_name()} dead-letters resend OFFSET --edit FIELD=VALUE (or --file CORRECTED.json)"
        )
    for batch in held:
        console.print(f"Held up since {batch.since:%Y-%m-%d %H:%M:%S} UTC: {batch.batch} cannot be read. {safe_line(batch.reason)}")
        console.print(f"        To leave it out: {command_name()} dead-letters skip {batch.partition}:{batch.offset}")


@dead_letters.command(cls=Documented, epilog=EXIT_STATUSES)
@guarded
def resend(offset: Place, file: Corrected = None, edit: Edit = None, in_json: Json = False) -> None:
    """Send a dead letter again, corrected, to the orders' topic.

    The sensor validates it like any other message: if it is still no order, it comes back with the reason.

    \b
    generia dead-letters resend 7 --edit parameters.users_count=3 --edit parameters.quality=
    generia dead-letters resend 2:7 --file corrected.json --json
    """
    from generia_assets.durable.figures import letter_sent_again
    from generia_assets.durable.orders.intake import StoredDeadLetter, kept_at, place_of
    from resources.kafka.address import REQUEST_TIMEOUT_S
    from resources.kafka.dead_letters import letter_at
    from resources.kafka.producer import Event, EventProducer
    from resources.mongodb.connection import MongoUnavailableError

    if (file is None) == (not edit):
        raise CommandError(
            "say how the letter is corrected: either --file CORRECTED.json, or --edit FIELD=VALUE (as often as needed)", 2
        )
    chosen = settings()
    kafka = addresses(chosen).kafka
    letter: DeadLetter | StoredDeadLetter | None
    if "@" in offset:
        with open_database() as database:
            letter = kept_at(database, offset)
    else:
        letter = letter_at(kafka, chosen.kafka_dead_letters_topic, *_place(offset))
    if letter is None:
        raise CommandError(f"there is no dead letter at {offset}; `{command_name()} dead-letters` lists them", 2)
    message = edited(letter, edit or []) if file is None else _read(file)
    with EventProducer(kafka) as producer:
        topic = chosen.kafka_dead_letters_topic
        origin = letter.place if isinstance(letter, StoredDeadLetter) else place_of(topic, letter.partition, letter.offset)
        world_id = message.get("world_id")  # orders of one world stay in order
        key = world_id.encode("utf-8", "replace") if isinstance(world_id, str) else letter.key
        event = Event(chosen.kafka_tasks_topic, key, json.dumps(message).encode(), (("resent_from", origin),))
        producer.send(event).wait(REQUEST_TIMEOUT_S)
    try:
        with open_database() as database:
            letter_sent_again(database, _origin(letter))
    except MongoUnavailableError as error:
        remarks().print(f"Monitors still count it as unresolved: {error}")
    text = (
        f"Sent to topic {chosen.kafka_tasks_topic}. If it is still no order, it comes back with the reason: "
        f"{command_name()} dead-letters"
    )
    print_result({"resent_from": origin, "topic": chosen.kafka_tasks_topic, "message": message}, text, json=in_json)


@dead_letters.command(cls=Documented, epilog=EXIT_STATUSES)
@guarded
def skip(place: Held, in_json: Json = False) -> None:
    """Leave out a record batch that cannot be read, so that its partition goes on behind it.

    The generator does not carry out the orders in the batch: find out first who sent it. It skips the batch when it next looks for
    orders, and keeps its bytes as a dead letter.

    \b
    generia dead-letters skip 2:17
    """
    from generia_assets.durable.orders.intake import let_skip

    partition, offset = _place(place)
    with open_database() as database:
        held = let_skip(database, settings().kafka_tasks_topic, partition, offset)
    if held is None:
        raise CommandError(f"no partition is held up at {place}; `{command_name()} dead-letters` lists those that are", 2)
    text = f"The generator skips {held.batch} when it next looks for orders, and keeps its bytes as a dead letter."
    print_result({"origin": held.place, "next_offset": held.next_offset, "skipped": True}, text, json=in_json)


def edited(letter: DeadLetter | StoredDeadLetter, changes: list[str]) -> dict[str, JsonValue]:
    """The letter's message with these fields changed. Raises ``CommandError`` when it cannot be changed like that."""
    if "cut" in letter.headers:
        raise CommandError(
            f"only a part of this message is here ({letter.headers['cut']}): correct the whole message, and give it by --file"
        )
    advice = "write the corrected message into a file and give it by --file"
    message = _object(letter.value, f"the letter at {letter.place}", advice)
    for change in changes:
        path, equals, text = change.partition("=")
        if not equals or not all(path.split(".")):
            raise CommandError(f"--edit {change!r}: must be FIELD=VALUE, such as parameters.users_count=3", 2)
        _set(message, path.split("."), text)
    return message


def _set(message: dict[str, JsonValue], path: list[str], text: str) -> None:
    *parents, field = path
    place = message
    for name in parents:
        inner = place.setdefault(name, {})
        if not isinstance(inner, dict):
            raise CommandError(f"--edit {'.'.join(path)}: {name} is no object in this message", 2)
        place = inner
    if not text:
        place.pop(field, None)
        return
    try:  # JSON where it is JSON (3, true, "3"), else the text itself
        place[field] = json.loads(text)
    except ValueError:
        place[field] = text


def _read(file: Path) -> dict[str, JsonValue]:
    try:
        return _object(file.read_bytes(), str(file), "correct it")
    except OSError as error:
        raise CommandError(f"--file {file}: {error.strerror}", 2) from None


def _object(data: bytes, what: str, advice: str) -> dict[str, JsonValue]:
    try:
        content: JsonValue = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise CommandError(f"{what} is not JSON ({error}): {advice}") from None
    if not isinstance(content, dict):
        raise CommandError(f"{what} is no JSON object: {advice}")
    return content


def _place(text: str) -> tuple[int, int]:
    partition, _, offset = text.rpartition(":")
    try:
        return int(partition or 0), int(offset)
    except ValueError:
        raise CommandError(f"OFFSET {text!r}: must be a number, or PARTITION:OFFSET, as the list shows it", 2) from None


def _origin(letter: DeadLetter | StoredDeadLetter) -> str:
    headers = letter.headers
    return safe_line(f"{headers.get('topic', '?')}[{headers.get('partition', '?')}]@{headers.get('offset', '?')}")


def _as_fields(one: DeadLetter | StoredDeadLetter | HeldPartition) -> dict[str, JsonValue]:
    from generia_assets.durable.orders.intake import HeldPartition, StoredDeadLetter

    if isinstance(one, HeldPartition):
        place = f"{one.partition}:{one.offset}"
        return {"offset": place, "state": "held", "at": one.since.isoformat(), "origin": one.place, "reason": one.reason}
    return {
        "offset": one.place,
        "state": "kept" if isinstance(one, StoredDeadLetter) else "sent",
        "at": one.at.isoformat(),
        "origin": _origin(one),
        "reason": one.headers.get("reason", ""),
        "cut": "cut" in one.headers,
        "message": one.value.decode("utf-8", "replace"),
    }
