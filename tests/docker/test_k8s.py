"""docker/k8s/: manifests that are valid by Kubernetes' schemas and fit together, and the launcher of runs with an API server."""

import json
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

import dagster as dg
import kubernetes_validate
import pytest
import yaml
from dagster import DagsterRunStatus

from generia_assets.dagster_internals import MAX_RETRIES_TAG, WorkerStatus
from generia_assets.settings import SECRETS, Settings
from tests.docker import test_files
from tests.docker.test_files import DAGSTERS_OWN, DOCKER, command_of
from tests.support.dagster_internals import InstanceRef, LaunchRunContext

K8S = DOCKER / "k8s"
KUBERNETES = "1.34"
IMAGE = "registry.example.org/generia:0.1.0"
KUSTOMIZATION = yaml.safe_load((K8S / "kustomization.yaml").read_text())
OBJECTS = [one for name in KUSTOMIZATION["resources"] for one in yaml.load_all((K8S / name).read_text(), yaml.CSafeLoader)]
DEPLOYMENTS = {one["metadata"]["name"]: one for one in OBJECTS if one["kind"] == "Deployment"}
INSTANCE = yaml.safe_load((K8S / "dagster.yaml").read_text())
SECRET_KEYS = {"GEMINI_API_KEY", "MONGODB_URI", "DAGSTER_POSTGRES_URL"}

Manifest = dict[str, Any]


def names(kind: str) -> set[str]:
    return {one["metadata"]["name"] for one in OBJECTS if one["kind"] == kind}


def container(deployment: Manifest) -> Manifest:
    (only,) = deployment["spec"]["template"]["spec"]["containers"]
    return cast("Manifest", only)


@pytest.mark.parametrize("path", sorted(K8S.glob("*.yaml")), ids=lambda path: path.name)
def test_yaml_is_clean(path: Path) -> None:
    """yamllint finds nothing in any YAML file."""
    text = path.read_text().replace("\n---\n", "\n")
    assert [
        str(problem) for problem in test_files.linter.run(text, test_files.LINT_RULES) if problem.rule != "key-duplicates"
    ] == []


@pytest.mark.parametrize("number", range(len(OBJECTS)), ids=[f"{one['kind']}-{one['metadata']['name']}" for one in OBJECTS])
def test_objects_fit_kubernetes_schemas(number: int) -> None:
    """Each object has only fields of its kind."""
    kubernetes_validate.validate(OBJECTS[number], KUBERNETES, strict=True)


def test_the_kustomization_has_every_file() -> None:
    """No file is missing in it; everything that the launcher, the pods and the roles name exists."""
    assert {*KUSTOMIZATION["resources"], "kustomization.yaml", "dagster.yaml"} == {path.name for path in K8S.iterdir()}
    (generated,) = KUSTOMIZATION["configMapGenerator"]
    config_maps = names("ConfigMap") | {generated["name"]}
    launcher = INSTANCE["run_launcher"]["config"]
    assert {launcher["instance_config_map"], *launcher["env_config_maps"]} == config_maps
    assert launcher["service_account_name"] in names("ServiceAccount")
    assert launcher["job_namespace"] == KUSTOMIZATION["namespace"]
    for deployment in DEPLOYMENTS.values():
        pod = deployment["spec"]["template"]["spec"]
        assert pod["serviceAccountName"] in names("ServiceAccount")
        assert {volume["configMap"]["name"] for volume in pod["volumes"] if "configMap" in volume} <= config_maps
        assert {mount["name"] for mount in container(deployment)["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
    (binding,) = (one for one in OBJECTS if one["kind"] == "RoleBinding")
    assert {binding["roleRef"]["name"]} == names("Role")
    assert {one["name"] for one in binding["subjects"]} <= names("ServiceAccount")


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_pods_are_confined(name: str) -> None:
    """A pod meets Kubernetes' standard *restricted*, cannot write to its root file system, and has requests, a limit and probes.

    Only webserver and daemon, which start and end jobs, have access to the cluster.
    """
    pod, one = DEPLOYMENTS[name]["spec"]["template"]["spec"], container(DEPLOYMENTS[name])
    assert pod["securityContext"]["runAsNonRoot"]
    assert f"{pod['securityContext']['runAsUser']}:{pod['securityContext']['runAsGroup']}" == "65532:65532"  # the image's
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert one["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert one["resources"]["requests"].keys() == {"cpu", "memory"}
    assert "memory" in one["resources"]["limits"]
    assert pod.get("automountServiceAccountToken", True) is (name in ("webserver", "daemon"))
    assert {"startupProbe", "livenessProbe"} <= one.keys()
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        command = one.get(probe, {}).get("exec", {}).get("command", [])
        if command[:1] == ["python"]:
            assert command[1] == "docker/health.py"
            ports = [str(port["containerPort"]) for port in one["ports"]]
            assert re.search(r":(\d+)", command[3])[1] in ports


def test_environment_is_known_and_secrets_are_by_reference() -> None:
    """Each variable of a pod is a setting or a variable of Dagster; no secret has a value here; only pods that need a secret get
    it."""
    known = {name.upper() for name in Settings.model_fields} | DAGSTERS_OWN | {"DAGSTER_CURRENT_IMAGE", "DAGSTER_POSTGRES_URL"}
    (settings,) = (one["data"] for one in OBJECTS if one["kind"] == "ConfigMap")
    given = {name: {entry["name"]: entry for entry in container(one).get("env", [])} for name, one in DEPLOYMENTS.items()}
    assert set(settings) | {variable for entries in given.values() for variable in entries} <= known
    assert not set(settings) & {*SECRETS, *SECRET_KEYS}
    for entries in given.values():
        assert {name for name, entry in entries.items() if "value" not in entry} == entries.keys() & SECRET_KEYS
    whole = {
        name for name, one in DEPLOYMENTS.items() if {"secretRef": {"name": "generia-secrets"}} in container(one).get("envFrom", [])
    }
    assert whole == {"code"}
    head = (K8S / "kustomization.yaml").read_text().partition("apiVersion")[0]
    assert set(re.findall(r"--from-literal=(\w+)=", head)) == SECRET_KEYS
    Settings.model_validate(settings)


def test_services_lead_to_containers() -> None:
    """Workspace, probes and services have ports at which a container listens; only one daemon runs at a time."""
    server = yaml.safe_load((DOCKER / "workspace.yaml").read_text())["load_from"][0]["grpc_server"]
    services = {one["metadata"]["name"]: one["spec"] for one in OBJECTS if one["kind"] == "Service"}
    assert services[server["host"]]["ports"][0]["port"] == server["port"]
    assert str(server["port"]) in command_of("runtime")
    for name, service in services.items():
        pod = DEPLOYMENTS[name]["spec"]["template"]
        assert service["selector"].items() <= pod["metadata"]["labels"].items()
        assert service["ports"][0]["targetPort"] in {port["name"] for port in container(DEPLOYMENTS[name])["ports"]}
    daemon = DEPLOYMENTS["daemon"]["spec"]
    assert (daemon["replicas"], daemon["strategy"]) == (1, {"type": "Recreate"})


@pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl is not installed")
def test_kustomize_puts_the_image_everywhere() -> None:
    """With kubectl everything is rendered into one namespace, and the image of runs is that of the code location."""
    done = subprocess.run(["kubectl", "kustomize", str(K8S)], capture_output=True, text=True, timeout=60, check=True)
    rendered = list(yaml.safe_load_all(done.stdout))
    assert {one["metadata"]["namespace"] for one in rendered} == {KUSTOMIZATION["namespace"]}
    image = f"{KUSTOMIZATION['images'][0]['newName']}:{KUSTOMIZATION['images'][0]['newTag']}"
    pods = [one for one in rendered if one["kind"] == "Deployment"]
    assert {container(one)["image"] for one in pods} == {image}
    (code,) = (container(one) for one in pods if one["metadata"]["name"] == "code")
    assert {"name": "DAGSTER_CURRENT_IMAGE", "value": image} in code["env"]
    for one in rendered:
        kubernetes_validate.validate(one, KUBERNETES, strict=True)


def test_the_instance_differs_from_the_others_only_where_necessary() -> None:
    """Queue, retries, threads and retention are those of docker/dagster.yaml."""
    other = yaml.safe_load((DOCKER / "dagster.yaml").read_text())
    own = {"storage", "compute_logs", "local_artifact_storage", "run_coordinator", "run_launcher", "run_monitoring"}
    assert INSTANCE.keys() == other.keys() | own
    assert {name: value for name, value in INSTANCE.items() if name not in own} == {
        name: value for name, value in other.items() if name not in own
    }
    queue = {**other["run_coordinator"]["config"], "max_concurrent_runs": 50}
    assert INSTANCE["run_coordinator"] == {**other["run_coordinator"], "config": queue}
    assert INSTANCE["run_monitoring"]["max_resume_run_attempts"] == 0
    fleet = yaml.safe_load((DOCKER / "dagster-fleet.yaml").read_text())
    assert INSTANCE["storage"] == fleet["storage"]


@dataclass
class Cluster:
    """A fake API server with what a launcher needs: jobs, by name, and their states."""

    jobs: dict[str, Manifest] = field(default_factory=dict)
    status: Manifest = field(default_factory=lambda: {"active": 1})
    url: str = ""

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, Manifest]:
        if path.startswith("/api/v1/namespaces/generia/pods"):
            return 200, {"kind": "PodList", "apiVersion": "v1", "items": []}
        name = path.partition("?")[0].removeprefix("/apis/batch/v1/namespaces/generia/jobs").strip("/").removesuffix("/status")
        if method == "POST":
            job = json.loads(body)
            self.jobs[job["metadata"]["name"]] = job
            return 201, job
        if name not in self.jobs:
            return 404, {"kind": "Status", "status": "Failure", "code": 404}
        if method == "DELETE":
            del self.jobs[name]
            return 200, {"kind": "Status", "status": "Success"}
        return 200, {**self.jobs[name], "status": self.status}


@contextmanager
def served(cluster: Cluster) -> Iterator[None]:
    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            status, answer = cluster.answer(self.command, self.path, body)
            data = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_DELETE = _answer  # noqa: N815  http.server's names

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        cluster.url = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def instance_of(cluster: Cluster, folder: Path) -> Iterator[dg.DagsterInstance]:
    """Dagster's instance as dagster.yaml has it, but for its storage, and with this API server in place of the pod's own."""
    config: dict[str, Any] = {"clusters": [{"name": "c", "cluster": {"server": cluster.url}}], "users": [{"name": "u", "user": {}}]}
    config |= {"contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}], "current-context": "x"}
    (folder / "kubeconfig").write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "Config", **config}))
    changed = {name: value for name, value in INSTANCE.items() if name != "storage"}
    launcher = changed["run_launcher"]["config"] | {"load_incluster_config": False, "kubeconfig_file": str(folder / "kubeconfig")}
    changed["run_launcher"] = changed["run_launcher"] | {"config": launcher}
    (folder / "dagster.yaml").write_text(yaml.safe_dump(changed))
    with dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(folder))) as instance:
        yield instance


@dg.job
def nothing() -> None: ...


def started(instance: dg.DagsterInstance) -> dg.DagsterRun:
    """A run that the launcher has sent to the cluster, with the image of its code location, and that has started there."""
    origin = dg.reconstructable(nothing).get_python_origin()
    origin = origin._replace(
        repository_origin=origin.repository_origin._replace(container_image="registry.example.org/generia:0.1.0")
    )
    run = instance.create_run_for_job(nothing, job_code_origin=origin, status=DagsterRunStatus.STARTING)
    instance.run_launcher.launch_run(LaunchRunContext(run, None))
    instance.report_dagster_event(
        dg.DagsterEvent(event_type_value=dg.DagsterEventType.RUN_START.value, job_name="nothing"), run_id=run.run_id
    )
    found = instance.get_run_by_id(run.run_id)
    assert found is not None
    assert found.status is DagsterRunStatus.STARTED
    return found


def test_a_run_is_a_job_that_is_watched_and_ended(tmp_path: Path) -> None:
    """The job is what Kubernetes allows, confined as the other pods. A run is lost when its job is over or deleted, and not when
    the API server is unavailable; a terminated run is CANCELING, loses its job, and is not repeated.
    """
    from generia_assets.fleet.kubernetes import KubernetesRunLauncher  # with Kubernetes' client: imported only here

    cluster = Cluster()
    server = ExitStack()
    server.enter_context(served(cluster))
    with server, instance_of(cluster, tmp_path) as instance:
        launcher = instance.run_launcher
        assert isinstance(launcher, KubernetesRunLauncher)
        run = started(instance)
        (job,) = cluster.jobs.values()
        kubernetes_validate.validate(job, KUBERNETES, strict=True)
        pod = job["spec"]["template"]["spec"]
        (worker,) = pod["containers"]
        code = DEPLOYMENTS["code"]
        assert worker["image"] == IMAGE
        assert worker["securityContext"] == container(code)["securityContext"]
        assert pod["securityContext"] == code["spec"]["template"]["spec"]["securityContext"]
        assert [source.popitem()[1]["name"] for source in worker["envFrom"]] == ["generia-settings", "generia-secrets"]
        assert {mount["mountPath"] for mount in worker["volumeMounts"]} == {"/tmp", "/data"}
        assert (job["spec"]["backoffLimit"], pod["automountServiceAccountToken"]) == (0, False)
        assert launcher.check_run_worker_health(run).status is WorkerStatus.RUNNING
        cluster.status = {"failed": 1}
        assert launcher.check_run_worker_health(run).status is WorkerStatus.FAILED
        assert launcher.terminate(run.run_id)
        canceled = instance.get_run_by_id(run.run_id)
        assert canceled is not None
        assert (canceled.status, canceled.tags[MAX_RETRIES_TAG]) == (DagsterRunStatus.CANCELING, "0")
        assert cluster.jobs == {}
        assert launcher.check_run_worker_health(run).status is WorkerStatus.UNKNOWN  # deleted: Dagster fails the run
        server.close()
        assert launcher.check_run_worker_health(run).status is WorkerStatus.RUNNING  # no answer
