"""``generia doctor`` with servers that answer and one that does not."""

from __future__ import annotations

import json
from pathlib import Path

from emulators import lifecycle
from tests.cli.test_worlds import lines, stdout_of
from tests.support.command import Command


def test_a_doctor_finds_what_is_wrong_and_shows_no_secret(generia: Command, tmp_path: Path) -> None:
    """Reachable servers are ok; an unreachable one is named with what to do, exit status 1; passwords and keys are hidden."""
    healthy = lines(generia, "doctor")
    assert {one["part"]: one["health"] for one in healthy if one["part"] in ("MongoDB", "Kafka", "pictures")} == {
        "MongoDB": "ok",
        "Kafka": "ok",
        "pictures": "ok",
    }
    ill = {
        "MONGODB_URI": f"mongodb://{':'.join(('me', 's3cret-word'))}@127.0.0.1:9/",
        "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9",
        "GEMINI_API_KEY": "s3cret-key",
        "GEMINI_BASE_URL": "http://127.0.0.1:9",
        "DAGSTER_HOME": str(tmp_path / "nowhere"),
    }
    assert "ok     MongoDB: " in stdout_of(generia, "doctor")
    exit_code, out, err = Command(tmp_path, ill).call("doctor", "--json")
    assert exit_code == 1
    assert "s3cret" not in out + err
    wrong = {one["part"] for one in map(json.loads, out.splitlines()) if one["health"] == "wrong"}
    assert wrong == {"MongoDB", "Kafka", "Gemini", "Dagster"}
    assert all(one["advice"] for one in map(json.loads, out.splitlines()) if one["health"] == "wrong")


def test_doctor_checks_each_of_the_platforms_services(platform_process: tuple[str, str], tmp_path: Path) -> None:
    """A service that serves is named with its address, another one with what to do."""
    wrong = f"127.0.0.1:{lifecycle.free_port()}"
    addresses = dict.fromkeys(("CHARACTER_SERVICE", "MEDIA_SERVICE", "WORLD_SERVICE"), platform_process[0])
    elsewhere = {"MONGODB_URI": "mongodb://127.0.0.1:9/", "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9"}
    _, out, err = Command(tmp_path, {"PLATFORM": "grpc", **addresses, "POST_SERVICE": wrong, **elsewhere}).call("doctor", "--json")
    found = {finding["part"]: finding for finding in map(json.loads, out.splitlines())}
    assert found["media-service"] == {
        "part": "media-service",
        "health": "ok",
        "found": f"{platform_process[0]} serves",
        "advice": "",
    }
    assert found["post-service"]["health"] == "wrong", err
    assert "POST_SERVICE" in found["post-service"]["advice"]
    assert "/pending can be written" in found["pictures"]["found"]  # the folder of pending pictures; the platform stores them
