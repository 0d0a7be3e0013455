"""`generia demo` and `dev` as people start them: real servers, a real Dagster daemon and code server, and no process left."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from pymongo import MongoClient

from emulators.gemini.client import EmulatorControl
from resources.mongodb.connection import MongoDocument
from tests.support.command import LOOPBACK, Command, interrupt
from tests.support.waiting import slowness, wait_for

pytestmark = [pytest.mark.dagster_process, pytest.mark.timeout(900)]

PROMISED = "world_id status characters posts images llm_calls image_calls cost_usd seconds seconds_to_first_post gallery"


LATEST_S = 300.0
"""What has not come by then never comes."""


def test_a_demo_makes_a_world_and_leaves_no_process(tmp_path: Path) -> None:
    """The last line of standard output is one JSON object with the documented fields, counts are exact, and no process is left."""
    generia = Command(tmp_path / "data")
    exit_code, out, err = generia.run("demo", "--users", "2", "--posts", "3", "--json", timeout=LATEST_S)
    assert exit_code == 0, err
    assert generia.processes() == []
    result = json.loads(out.splitlines()[-1])
    assert list(result) == PROMISED.split()
    assert (result["status"], result["characters"], result["posts"], result["images"]) == ("completed", 2, 3, 2 + 2 + 3)
    assert result["llm_calls"] >= 9
    assert result["image_calls"] >= 7
    assert result["cost_usd"] > 0
    assert 0 < result["seconds_to_first_post"] <= result["seconds"]
    pictures = list((tmp_path / "data" / "media" / result["world_id"]).rglob("*.*"))
    assert len(pictures) == 7
    pages = Path(result["gallery"])
    assert pages == tmp_path / "data" / "gallery" / result["world_id"] / "index.html"
    assert len(re.findall(r"<article[^>]* data-post-id=", pages.read_text())) == 3
    assert "MongoDB (embedded)" in err
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", out + err)


def test_set_addresses_are_used_and_an_interruption_ends_in_order(
    tmp_path: Path, mongodb_uri: str, broker: str, gemini: str, mongo_client: MongoClient[MongoDocument]
) -> None:
    """With all addresses set no server is started; SIGTERM during the work ends everything within seconds, with status 130."""
    home, name = tmp_path / "dagster", "test_cli_interrupted"
    topics = {f"KAFKA_{which}_TOPIC": f"cli-{which.lower()}" for which in ("TASKS", "PROGRESS", "DEAD_LETTERS")}
    generia = Command(
        tmp_path / "data",
        {
            "MONGODB_URI": mongodb_uri,
            "MONGODB_DATABASE": name,
            "KAFKA_BOOTSTRAP_SERVERS": broker,
            "KAFKA_API_VERSION": "2.3",
            "GEMINI_BASE_URL": gemini,
            "DAGSTER_HOME": str(home),
        }
        | topics,
    )
    with closing(EmulatorControl(gemini)) as control:
        control.set_faults(hang=1.0, after_calls=6)  # so that the world is not finished before the end
    demo = generia.start("demo", "--users", "4", "--posts", "8", "--max-cost-usd", "50")
    try:
        statuses = mongo_client[name]["world_generation_status"]
        at_work = {"tasks_completed": {"$gt": 3}}
        wait_for(lambda: statuses.find_one(at_work) or demo.poll() is not None, seconds=LATEST_S, what="the work")
        assert not [line for line in generia.processes() if re.search(r"-m (emulators|local_services\.(mongod|broker))", line)]
        assert [world["cost_limit_usd"] for world in statuses.find()] == [50]
        exit_code, out, err, seconds = interrupt(demo, signal.SIGTERM, timeout=LATEST_S)
    finally:
        demo.kill()
        mongo_client.drop_database(name)
    assert exit_code == 130, err
    assert seconds < 15 * slowness()
    assert generia.processes() == []
    assert "MongoDB (yours)" in out
    assert re.search(r"To go on: make dev .*\n  .* resume [0-9a-f-]{36}", out)
    assert (home / "dagster.yaml").exists()
    assert not (tmp_path / "data" / "dagster").exists()


@pytest.fixture(scope="module")
def generia(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    """A running `generia dev` with the platform's services, which the other commands find by themselves."""
    folder = tmp_path_factory.mktemp("dev")
    command = Command(folder)
    dev = command.start("dev", "--platform", "grpc", "--latency", "1", "--port", "0", "--pages-port", "0")
    try:
        running = folder / "running.json"
        wait_for(lambda: running.exists() and "dagster_home" in running.read_text(), seconds=LATEST_S, what="the generator")
        yield command
        exit_code, _, err, seconds = interrupt(dev, signal.SIGINT, timeout=LATEST_S)
        assert exit_code == 0, err
        assert seconds < 15 * slowness()
        assert command.processes() == []
    finally:
        dev.kill()


def test_every_server_listens_on_loopback_only(generia: Command) -> None:
    """Every started server (database, broker, emulator, code server, both kinds of pages) is bound to loopback."""
    assert "0100007F" in generia.listens_on() <= LOOPBACK


def send(generia: Command, *options: str) -> str:
    exit_code, out, err = generia.call("send", *options)
    assert exit_code == 0, err
    return out.splitlines()[-1]


def test_a_world_is_ordered_watched_and_shown(generia: Command) -> None:
    """`send` prints the id, `watch` follows the world to its end with all texts, and every section of `show` has the items."""
    world = send(generia, "--users", "2", "--posts", "3", "--prompt", "a lake that answers letters")
    exit_code, out, err = generia.run("watch", world, "--texts")
    assert exit_code == 0, err
    assert "completed: people 2/2, posts 3/3" in out
    sections = {"request": 1, "description": 1, "briefs": 2, "characters": 2, "post-briefs": 3, "posts": 3, "post-images": 3}
    for section, count in sections.items():
        exit_code, shown, err = generia.call("show", world, section, "--json")
        assert exit_code == 0, err
        assert len(json.loads(shown)) == count, section
        if section in ("characters", "posts"):
            words = "bio" if section == "characters" else "content"
            assert all(one[words].split("\n")[0] in out for one in json.loads(shown))
    _, shown, _ = generia.call("show", world, "history", "--type", "post", "--json")
    assert {one["request_type"] for one in json.loads(shown)} == {"post"}
    _, counted, _ = generia.call("stats", world, "--json")
    requests = json.loads(counted)["requests"]
    assert sum(one["calls"] for one in requests if one["request_type"] == "post" and one["outcome"] == "ok") == 3
    _, listed, _ = generia.call("list", "--json")
    assert world in [json.loads(line)["world_id"] for line in listed.splitlines()]


def test_a_world_is_stopped_and_resumed(generia: Command) -> None:
    """`stop` ends the run and keeps the items; `resume` continues within seconds and makes exactly the ordered world."""
    world = send(generia, "--users", "3", "--posts", "20", "--prompt", "a lake that answers letters")

    def works() -> bool:
        _, out, _ = generia.call("status", world, "--json")
        return bool(out) and json.loads(out)["tasks_completed"] > 2

    wait_for(works, seconds=LATEST_S)
    exit_code, _, err = generia.call("stop", world)
    assert exit_code == 0, err
    stopped = json.loads(generia.call("status", world, "--json")[1])
    assert stopped["parked"]["kind"] == "stopped"
    assert stopped["status"] == "in_progress"
    assert generia.call("resume", world, "--more-calls", "20")[0] == 0
    exit_code, out, err = generia.call("watch", world)
    assert exit_code == 0, err + out
    finished = json.loads(generia.call("status", world, "--json")[1])
    assert (finished["users_created"], finished["posts_created"]) == (3, 20)
    assert finished["tasks_completed"] >= stopped["tasks_completed"]
    assert finished["generation"] == stopped["generation"]


def test_a_world_at_its_cap_fails_and_is_resumed_with_a_higher_cap(generia: Command) -> None:
    """A cap ends the world as failed, with the command that resumes it; with a higher cap it is completed."""
    world = send(generia, "--users", "1", "--posts", "1", "--prompt", "a lake", "--max-cost-usd", "0.0001")
    exit_code, out, _ = generia.call("watch", world)
    assert exit_code == 1
    assert f"generia resume {world} --max-cost-usd" in out
    assert generia.call("resume", world, "--max-cost-usd", "5")[0] == 0
    exit_code, out, _ = generia.call("watch", world)
    assert exit_code == 0, out


def test_an_address_that_does_not_answer_is_reported_in_one_line(tmp_path: Path) -> None:
    """If MongoDB or Kafka does not answer: exit status 1, the address, how to start the server, and no traceback."""
    generia = Command(tmp_path, {"MONGODB_URI": "mongodb://127.0.0.1:9/", "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9"})
    for command in (["status"], ["send", "--prompt", "a lake"]):
        exit_code, out, err = generia.call(*command)
        assert (exit_code, out) == (1, "")
        assert "127.0.0.1:9" in err
        assert "make dev" in err
        assert len(err.strip().splitlines()) == 1


def test_a_wrong_setting_is_named(tmp_path: Path) -> None:
    """An invalid setting gives exit status 2, its name, its value, and what is allowed."""
    exit_code, _, err = Command(tmp_path, {"LLM_CONCURRENCY": "0"}).call("quote")
    assert exit_code == 2
    assert "LLM_CONCURRENCY='0'" in err
    assert "greater than or equal to 1" in err
