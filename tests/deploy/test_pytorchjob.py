"""The manifest for a cluster: its pods are valid Kubernetes, its command is a command of foveate.

The job itself is a custom resource of the training operator; what that operator asks of it is
checked by hand (https://www.kubeflow.org/docs/components/trainer/legacy-v1/user-guides/pytorch/).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from foveate.cli import run

MANIFEST = Path(__file__).parents[2] / "deploy" / "pytorchjob.yaml"


@pytest.fixture(scope="module")
def job() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(MANIFEST.read_text())
    return loaded


def test_it_is_what_the_operator_expects(job: dict[str, Any]) -> None:
    assert (job["apiVersion"], job["kind"]) == ("kubeflow.org/v1", "PyTorchJob")
    replicas = job["spec"]["pytorchReplicaSpecs"]
    assert set(replicas) == {"Master", "Worker"}
    assert replicas["Master"]["replicas"] == 1
    for replica in replicas.values():
        assert replica["restartPolicy"] in {"Always", "OnFailure", "Never", "ExitCode"}
        assert [c["name"] for c in replica["template"]["spec"]["containers"]] == ["pytorch"]


def test_its_processes_and_gpus_are_as_many(job: dict[str, Any]) -> None:
    for replica in job["spec"]["pytorchReplicaSpecs"].values():
        limits = replica["template"]["spec"]["containers"][0]["resources"]["limits"]
        assert limits["nvidia.com/gpu"] == job["spec"]["nprocPerNode"]


@pytest.mark.parametrize("role", ["Master", "Worker"])
def test_its_pods_are_valid(job: dict[str, Any], role: str) -> None:
    template = job["spec"]["pytorchReplicaSpecs"][role]["template"]
    pod = {"apiVersion": "v1", "kind": "Pod", **template}
    pod["metadata"] = {**pod["metadata"], "name": "refine"}
    version = kubernetes_validate.latest_version()
    kubernetes_validate.validate(pod, version, strict=True)
    pod["spec"] = {**pod["spec"], "containres": []}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(pod, version, strict=True)


def test_its_command_is_one_of_ours(
    job: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    for replica in job["spec"]["pytorchReplicaSpecs"].values():
        command = replica["template"]["spec"]["containers"][0]["command"]
        assert command[:3] == ["torchrun", "-m", "foveate"]
        # Usage errors have status 2; this one fails because there are no images here.
        assert run(command[3:]) == 1
        assert "/data/images" in capsys.readouterr().err
