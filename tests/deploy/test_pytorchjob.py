"""The manifest for a cluster: the training operator's API has all of it, its command is ours.

The API is that of the operator's own Python models (`kubeflow-training`, which brings Kubernetes'
for the pods). They are read strictly here: the API server drops a field that it does not know.
"""

from __future__ import annotations

import copy
import importlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from foveate.cli import run

MANIFEST = Path(__file__).parents[2] / "deploy" / "pytorchjob.yaml"
JOB = "KubeflowOrgV1PyTorchJob"
PLAIN = {"str": str, "int": int, "bool": bool}

Job = dict[str, Any]


@pytest.fixture
def job() -> Job:
    loaded: Job = yaml.safe_load(MANIFEST.read_text())
    return loaded


@pytest.fixture(scope="module")
def api() -> Callable[[str], Any]:
    """Finds a model of the operator's API, or of Kubernetes', by its name."""
    pytest.importorskip("kubeflow.training", reason="needs kubeflow-training (the dev group)")
    models = [
        importlib.import_module(f"{of}.models") for of in ("kubeflow.training", "kubernetes.client")
    ]
    return lambda kind: next(getattr(m, kind) for m in models if hasattr(m, kind))


def validate(value: Any, kind: str, api: Callable[[str], Any], where: str = "job") -> Any:
    """The model of what the API calls `kind`; AssertionError or ValueError where it is not one."""
    if inner := re.fullmatch(r"list\[(.+)\]", kind):
        assert isinstance(value, list), f"{where} is no list"
        return [validate(v, inner[1], api, f"{where}[{i}]") for i, v in enumerate(value)]
    if inner := re.fullmatch(r"dict\(str, (.+)\)", kind):
        assert isinstance(value, dict), f"{where} is no mapping"
        assert all(isinstance(key, str) for key in value), where
        return {key: validate(v, inner[1], api, f"{where}.{key}") for key, v in value.items()}
    if kind in PLAIN:
        assert type(value) is PLAIN[kind], f"{where} is {value!r}, not of type {kind}"
        return value
    model = api(kind)
    assert isinstance(value, dict), f"{where} is no {kind}"
    names = {key: name for name, key in model.attribute_map.items()}
    assert not set(value) - set(names), f"{where} has unknown {set(value) - set(names)}"
    return model(  # which refuses that a field is missing
        **{
            names[key]: validate(v, model.openapi_types[names[key]], api, f"{where}.{key}")
            for key, v in value.items()
        }
    )


def test_the_operator_knows_every_field(job: Job, api: Callable[[str], Any]) -> None:
    found = validate(job, JOB, api)
    assert found.spec.pytorch_replica_specs["Master"].template.spec.containers[0].image


@pytest.mark.parametrize(
    "path",
    [
        "",
        "metadata",
        "spec",
        "spec.runPolicy",
        "spec.pytorchReplicaSpecs.Worker",
        "spec.pytorchReplicaSpecs.Worker.template",
        "spec.pytorchReplicaSpecs.Worker.template.spec",
        "spec.pytorchReplicaSpecs.Worker.template.spec.containers.0",
        "spec.pytorchReplicaSpecs.Worker.template.spec.containers.0.env.0",
        "spec.pytorchReplicaSpecs.Worker.template.spec.containers.0.securityContext",
        "spec.pytorchReplicaSpecs.Worker.template.spec.volumes.0",
    ],
)
def test_what_it_does_not_know_is_refused(job: Job, api: Callable[[str], Any], path: str) -> None:
    changed: Any = copy.deepcopy(job)
    inner = changed
    for word in path.split(".") if path else ():
        inner = inner[int(word)] if word.isdigit() else inner[word]
    inner["replica"] = 1
    with pytest.raises(AssertionError, match="unknown"):
        validate(changed, JOB, api)


def test_missing_fields_and_wrong_types_are_refused(job: Job, api: Callable[[str], Any]) -> None:
    spec = job["spec"]
    for changed in (
        {"nprocPerNode": 4},
        {"runPolicy": {"backoffLimit": "5"}},
        {"pytorchReplicaSpecs": []},
        {"pytorchReplicaSpecs": {"Master": {"replicas": True}}},
    ):
        with pytest.raises(AssertionError):
            validate({**job, "spec": {**spec, **changed}}, JOB, api)
    for field in ("pytorchReplicaSpecs", "runPolicy"):
        fewer = {key: value for key, value in spec.items() if key != field}
        with pytest.raises(ValueError, match="must not be `None`"):
            validate({**job, "spec": fewer}, JOB, api)


def test_it_is_what_the_operator_expects(job: Job) -> None:
    """What its models leave open: kubeflow/training-operator, pkg/apis/kubeflow.org/v1."""
    assert (job["apiVersion"], job["kind"]) == ("kubeflow.org/v1", "PyTorchJob")
    assert job["spec"]["runPolicy"]["cleanPodPolicy"] in {"All", "Running", "None"}
    replicas = job["spec"]["pytorchReplicaSpecs"]
    assert set(replicas) == {"Master", "Worker"}
    assert replicas["Master"]["replicas"] == 1
    for replica in replicas.values():
        assert replica["restartPolicy"] in {"Always", "OnFailure", "Never", "ExitCode"}
        assert [c["name"] for c in replica["template"]["spec"]["containers"]] == ["pytorch"]


def test_its_processes_gpus_and_cores_are_as_many(job: Job) -> None:
    processes = job["spec"]["nprocPerNode"]
    for replica in job["spec"]["pytorchReplicaSpecs"].values():
        container = replica["template"]["spec"]["containers"][0]
        assert container["resources"]["limits"]["nvidia.com/gpu"] == processes
        threads = next(v["value"] for v in container["env"] if v["name"] == "OMP_NUM_THREADS")
        assert int(threads) * int(processes) == int(container["resources"]["requests"]["cpu"])


@pytest.mark.parametrize("role", ["Master", "Worker"])
def test_its_pods_are_valid(job: Job, role: str) -> None:
    template = job["spec"]["pytorchReplicaSpecs"][role]["template"]
    pod = {"apiVersion": "v1", "kind": "Pod", **template}
    pod["metadata"] = {**pod["metadata"], "name": "refine"}
    version = kubernetes_validate.latest_version()
    kubernetes_validate.validate(pod, version, strict=True)
    pod["spec"] = {**pod["spec"], "containres": []}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(pod, version, strict=True)


def test_its_command_is_one_of_ours(job: Job, capsys: pytest.CaptureFixture[str]) -> None:
    for replica in job["spec"]["pytorchReplicaSpecs"].values():
        command = replica["template"]["spec"]["containers"][0]["command"]
        assert command[:3] == ["torchrun", "-m", "foveate"]
        # Usage errors have status 2; this one fails because there are no images here.
        assert run(command[3:]) == 1
        assert "/data/images" in capsys.readouterr().err
