"""docker/monitoring/: the alerts fire, and alerts and dashboard use only series that ``/metrics`` has after a real world's run.

Prometheus itself and promtool check the rest if Debian's package ``prometheus`` is installed.
"""

import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import requests
import yaml
from prometheus_client.parser import text_string_to_metric_families
from pydantic import JsonValue

from emulators.lifecycle import free_port
from generia_assets.cli.main import COMMANDS
from generia_assets.durable.collections import FLEET, STATUS, TASKS
from generia_assets.durable.figures import FailedCheck, record_failed_check
from generia_assets.durable.status import State
from generia_assets.pages.metrics import Metrics
from generia_assets.processes import spawn
from tests.docker import test_files
from tests.docker.test_files import DOCKER, TOP, services
from tests.support.checked_world import WORLD
from tests.support.fleet_figures import ago
from tests.support.kafka_ticks import Ticks, order, send, sensor_settings
from tests.support.pages_site import serving
from tests.support.waiting import PATIENCE_S, wait_for
from tests.support.worlds_in_process import Worlds

MONITORING = DOCKER / "monitoring"
OVERLAY = "docker-compose.monitoring.yml"
RULES = [rule for group in yaml.safe_load((MONITORING / "rules.yml").read_text())["groups"] for rule in group["rules"]]
DASHBOARD = json.loads((MONITORING / "grafana/dashboards/generia.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
TARGETS = [(panel["title"], target) for panel in PANELS for target in panel["targets"]]
WITH_CHECKS = True
SETTINGS = {"gemini_model": "gemini-2.5-flash-lite"}  # asked whatever the date is: it has no end

needs_prometheus = pytest.mark.skipif(
    not (shutil.which("promtool") and shutil.which("prometheus")), reason="Debian's package prometheus is not installed"
)


def promtool(*arguments: str) -> str:
    done = subprocess.run(["promtool", *arguments], cwd=MONITORING, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@needs_prometheus
def test_promtool_finds_nothing():
    """The configuration and its rules are valid for Prometheus, without a warning."""
    promtool("check", "config", "--lint=all", "--lint-fatal", "prometheus.yml")
    promtool("check", "rules", "--lint=all", "--lint-fatal", "rules.yml")


@needs_prometheus
def test_each_alert_fires_and_none_fires_in_a_healthy_fleet():
    """promtool's unit tests pass: series with a problem make exactly their alert fire, those of a healthy fleet none."""
    promtool("test", "rules", "rules.test.yml")


def test_each_alert_has_a_test_and_says_what_to_do():
    """rules.test.yml fires each alert once; each alert names an existing command, and has a row in the troubleshooting page."""
    cases = yaml.safe_load((MONITORING / "rules.test.yml").read_text())["tests"]
    names = [rule["alert"] for rule in RULES]
    fired = [sample["labels"] for case in cases for test in case["promql_expr_test"] for sample in test["exp_samples"]]
    assert sorted(re.search(r'alertname="(\w+)"', labels)[1] for labels in fired) == sorted(names)
    page = (TOP / "docs/troubleshooting.md").read_text()
    for rule in RULES:
        assert rule["labels"].keys() == {"severity"}
        assert rule["annotations"].keys() == {"summary", "description", "runbook"}
        commands = re.findall(r"`generia ([\w-]+)", rule["annotations"]["description"])
        assert commands, rule["alert"]
        assert set(commands) <= COMMANDS.keys()
        path, _, anchor = rule["annotations"]["runbook"].partition("#")
        assert (path, f"## {anchor.capitalize()}\n" in page) == ("docs/troubleshooting.md", True)
    assert re.findall(r"^\| `(Generia\w+)` \|", page, re.M) == names


@pytest.fixture(scope="module")
def watched(worlds: Worlds) -> Worlds:
    """A fleet after problems: a finished world with 429s and a retired model, a failed check, a suspended world, waiting orders, a
    dead letter.
    """
    assert worlds.gemini is not None
    retired: dict[str, JsonValue] = {worlds.settings.gemini_model: {"shape": "not_found"}}
    worlds.gemini.set_faults(retired=retired, rate_limited=0.2)
    _, made = worlds.make(WORLD, users=2, posts=3)
    assert made.success, made.failure
    record_failed_check(worlds.database, FailedCheck(world_id=WORLD, check="exact_posts", severity="error", at=ago(0)))
    with worlds.changed_settings(patience_seconds=0.5):
        worlds.gemini.set_faults(unavailable=1.0)
        worlds.make("suspended", users=1, posts=1)
    worlds.gemini.reset()
    kafka, mongo = worlds.defs.resources["kafka"], worlds.defs.resources["mongo"]
    send(kafka, b"broken", order(), order())
    with dg.instance_for_test() as instance:
        Ticks(instance, kafka, mongo, sensor_settings()).tick()
    idle = {"status": State.IN_PROGRESS.value, "parked": None, "updated_at": ago(120), "owner.run_id": "run-1"}
    holder = {"id": "run-1:1", "share": 2, "may_use": 2, "wants": 2, "expires_at": ago(-300)}
    worlds.database[FLEET].update_one({"_id": "slots:llm"}, {"$set": {"holders": [holder]}})
    worlds.database[FLEET].insert_one({"_id": "run:run-1", "worker": "host-1:7:x", "expires_at": ago(-300)})
    waiting = worlds.database[TASKS].find_one({"accepted_at": {"$exists": True}, "status": "pending"})
    worlds.database[STATUS].update_one({"_id": waiting["world_id"]}, {"$set": idle})
    return worlds


@pytest.fixture(scope="module")
def exposed(watched: Worlds) -> dict[str, dict[str, set[str]]]:
    """The series of /metrics: by name, their labels and values."""
    found: dict[str, dict[str, set[str]]] = {}
    for family in text_string_to_metric_families(Metrics(watched.database).text().decode()):
        for sample in family.samples:
            labels = found.setdefault(sample.name, {})
            for label, value in sample.labels.items():
                labels.setdefault(label, set()).add(value)
    return found


def asked_for(expression: str) -> list[tuple[str, str]]:
    """The series of an expression, each with its matchers."""
    return re.findall(r"\b(generia_\w+)(?:\{([^}]*)\})?", expression)


QUERIES = [
    *((f"panel {title}: {target['expr']}", target["expr"], target["legendFormat"]) for title, target in TARGETS),
    *((f"alert {rule['alert']}", rule["expr"], "") for rule in RULES),
]


def test_queries_use_only_existing_series(exposed: dict[str, dict[str, set[str]]]) -> None:
    """Each metric, label and value that a panel, its legend or an alert names is in /metrics after a real world's run."""
    wrong = []
    for what, expression, legend in QUERIES:
        series = asked_for(expression)
        labels = re.findall(r"\{\{(\w+)\}\}", legend) + re.findall(r"\w+", " ".join(re.findall(r"\bby \(([^)]*)\)", expression)))
        for name, matchers in series:
            if name == "generia_code_server_starts_runs":  # only where CODE_SERVER is set
                continue
            has = exposed.get(name)
            if has is None:
                wrong.append(f"{what}: there is no {name}")
                continue
            wrong += [f"{what}: {name} has no label {label}" for label in labels if label not in has]
            for label, operator, pattern in re.findall(r'(\w+)(=~|!=|=)"([^"]*)"', matchers):
                values = has.get(label, set())
                if operator != "!=" and not any(re.fullmatch(pattern, value) for value in values):
                    wrong.append(f"{what}: no {name} has {label}={pattern}; there are {sorted(values)}")
        if not series and "time()" not in expression:
            wrong.append(f"{what}: names no series")
    assert wrong == []


def test_every_metric_is_on_the_dashboard(exposed: dict[str, dict[str, set[str]]]) -> None:
    """Every metric is shown."""
    shown = {name for _, target in TARGETS for name, _ in asked_for(target["expr"])}
    derived = {"generia_models_gone", "generia_recent_cost_usd"}  # the retired models and dollars a minute say the same
    assert exposed.keys() - shown - derived == set()


def test_panels_do_not_overlap_and_are_explained() -> None:
    """No two panels overlap, each is explained, and each asks the data source that the provisioning makes."""
    taken = set()
    for panel in PANELS:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
        assert panel["description"]
    (source,) = yaml.safe_load((MONITORING / "grafana/provisioning/datasources/prometheus.yml").read_text())["datasources"]
    assert {panel["datasource"]["uid"] for panel in PANELS} == {source["uid"]}
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    assert source["url"] == "http://prometheus:9090"


@needs_prometheus
def test_prometheus_answers_each_query_and_fires_the_right_alerts(watched: Worlds, mongodb_uri: str, tmp_path: Path) -> None:
    """A real Prometheus that scrapes the pages' server answers each panel, and its alerts name the problems in whole sentences."""
    media = watched.settings.media_dir
    with serving(mongodb_uri, watched.database.name, media) as pages, running_prometheus(tmp_path, pages) as url:
        deadline = time.monotonic() + PATIENCE_S
        empty = {target["expr"] for _, target in TARGETS}
        while empty and time.monotonic() < deadline:
            time.sleep(0.5)
            empty = {expression for expression in empty if not queried(url, expression)}
        assert empty == set()

        def alerts() -> list[Any]:
            found: list[Any] = requests.get(f"{url}/api/v1/alerts", timeout=PATIENCE_S).json()["data"]["alerts"]
            seen = {alert["labels"]["alertname"] for alert in found}
            return found if {"GeneriaModelRetired", "GeneriaWorldsSuspended"} <= seen else []

        fired = wait_for(alerts)
    for alert in fired:
        assert "{{" not in str(alert["annotations"])
        assert "no value" not in str(alert["annotations"])


def queried(url: str, expression: str) -> list[Any]:
    answer = requests.get(f"{url}/api/v1/query", params={"query": expression}, timeout=PATIENCE_S).json()
    assert answer["status"] == "success", answer
    result: list[Any] = answer["data"]["result"]
    return result


@contextmanager
def running_prometheus(folder: Path, pages: str) -> Iterator[str]:
    """Prometheus with our rules, which scrapes this address every second; gives its own address."""
    config = yaml.safe_load((MONITORING / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(MONITORING / "rules.yml")]
    (job,) = config["scrape_configs"]
    del job["dns_sd_configs"]
    job["static_configs"] = [{"targets": [pages.removeprefix("http://")]}]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    address = f"127.0.0.1:{free_port()}"
    command = ["prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
    with spawn("prometheus", [*command, f"--web.listen-address={address}"], log_path=folder / "prometheus.log") as server:
        server.wait_until(lambda: answers(f"http://{address}/-/ready"), PATIENCE_S)
        yield f"http://{address}"


def answers(url: str) -> bool | None:
    try:
        return requests.get(url, timeout=PATIENCE_S).ok or None
    except requests.ConnectionError:
        return None


@pytest.mark.parametrize("path", [*sorted(MONITORING.rglob("*.yml")), DOCKER / OVERLAY], ids=lambda path: path.name)
def test_yaml_is_clean(path: Path) -> None:
    """yamllint finds nothing in any YAML file of the monitoring."""
    test_files.test_yaml_is_clean(path)


@pytest.mark.parametrize("name", services(OVERLAY))
def test_the_overlay_follows_the_rules_of_the_other_stacks(name: str) -> None:
    """Its containers are confined, pinned, have a health check, are reachable only from this host, and mount existing files."""
    test_files.test_service_is_confined(OVERLAY, name)
    test_files.test_ports_are_on_loopback(OVERLAY, name)
    test_files.test_every_container_has_a_health_check(OVERLAY, name)
    service = services(OVERLAY)[name]
    assert re.fullmatch(r"[\w./-]+:v?\d+\.\d+\.\d+", service["image"])
    mounted = [volume.partition(":")[0] for volume in service["volumes"] if volume.startswith("./")]
    assert [path for path in mounted if not (DOCKER / path).exists()] == []


def test_the_overlay_fits_the_other_files() -> None:
    """It is valid by the Compose specification, publishes no port of another stack, and scrapes an existing service."""
    test_files.test_compose_files_fit_the_specification(OVERLAY)
    ports = [test_files.published(file).keys() for file in (*test_files.COMPOSE_FILES, OVERLAY)]
    assert not ports[-1] & {port for others in ports[:-1] for port in others}
    (job,) = yaml.safe_load((MONITORING / "prometheus.yml").read_text())["scrape_configs"]
    (target,) = job["dns_sd_configs"]
    command = services("docker-compose.yml")[target["names"][0]]["command"]
    assert str(target["port"]) == command[command.index("--port") + 1]
