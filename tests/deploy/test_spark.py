"""Spark on Kubernetes: jobs that the operator takes, an image that starts, pages that hold.

The operator's custom resource has no schema that pip brings; the part of it that is used is written
down here, from its documentation (https://github.com/kubeflow/spark-operator, docs/api-docs.md,
v1beta2). What it hands through to Kubernetes as it is, is validated as a pod.
"""

from __future__ import annotations

import copy
import importlib.util
import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import typer
import yaml
from hypothesis import given
from hypothesis import strategies as st
from typer.main import get_command

from foveate.cli import app
from foveate.settings import FILE_NAME
from foveate.targets import Target
from support.recipes import DEPLOY, ROOT, project
from support.recipes import SPARK as RECIPE

SPARK = DEPLOY / "spark"
JOBS = sorted((SPARK / "jobs").glob("*.yaml"))
PAGES = [*sorted((ROOT / "docs").glob("deploy-spark*.md")), SPARK / "README.md"]
PAGES += [ROOT / "docs" / "spark.md"]
CLOUDS = {"azure": "abfs://work@account.dfs.core.windows.net", "aws": "s3://bucket"}

Object = dict[str, Any]

TEXT: Object = {"type": "string", "minLength": 1}
TEXTS: Object = {"type": "array", "items": TEXT}
NAMED_TEXTS: Object = {"type": "object", "additionalProperties": TEXT}
WHOLE: Object = {"type": "integer", "minimum": 1}
JAVA_MEMORY: Object = {"type": "string", "pattern": "^[1-9][0-9]*[mg]$"}
CORES: Object = {"type": "string", "pattern": "^([1-9][0-9]*m|[1-9][0-9]*)$"}
ANY_OBJECT: Object = {"type": "object"}


def exactly(required: list[str], **properties: Object) -> Object:
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


ROLE: Object = {
    "cores": WHOLE,
    "coreRequest": CORES,
    "coreLimit": CORES,
    "memory": JAVA_MEMORY,
    "memoryOverhead": JAVA_MEMORY,
    "serviceAccount": TEXT,
    "labels": NAMED_TEXTS,
    "annotations": NAMED_TEXTS,
    "nodeSelector": NAMED_TEXTS,
    "tolerations": {"type": "array", "items": ANY_OBJECT},
    "env": {"type": "array", "items": ANY_OBJECT},
    "envFrom": {"type": "array", "items": ANY_OBJECT},
    "podSecurityContext": ANY_OBJECT,
    "securityContext": ANY_OBJECT,
}
APPLICATION = exactly(
    ["apiVersion", "kind", "metadata", "spec"],
    apiVersion={"const": "sparkoperator.k8s.io/v1beta2"},
    kind={"const": "SparkApplication"},
    metadata=exactly(["name", "namespace"], name=TEXT, namespace=TEXT, labels=NAMED_TEXTS),
    spec=exactly(
        ["type", "mode", "sparkVersion", "image", "mainApplicationFile", "driver", "executor"],
        type={"enum": ["Java", "Python", "Scala", "R"]},
        pythonVersion={"enum": ["2", "3"]},
        mode={"enum": ["cluster", "client"]},
        sparkVersion=TEXT,
        image=TEXT,
        imagePullPolicy={"enum": ["Always", "IfNotPresent", "Never"]},
        imagePullSecrets=TEXTS,
        mainApplicationFile=TEXT,
        arguments=TEXTS,
        sparkConf=NAMED_TEXTS,
        timeToLiveSeconds={"type": "integer", "minimum": 0},
        restartPolicy=exactly(
            ["type"],
            type={"enum": ["Never", "Always", "OnFailure"]},
            onFailureRetries={"type": "integer", "minimum": 0},
            onFailureRetryInterval=WHOLE,
            onSubmissionFailureRetries={"type": "integer", "minimum": 0},
            onSubmissionFailureRetryInterval=WHOLE,
        ),
        driver=exactly(
            [],
            **ROLE,
            configMaps={
                "type": "array",
                "items": exactly(["name", "path"], name=TEXT, path={"pattern": "^/"}),
            },
        ),
        executor=exactly([], **ROLE, instances=WHOLE),
    ),
)


def load(path: Path) -> list[Object]:
    return [found for found in yaml.safe_load_all(path.read_text()) if found]


def job(path: Path) -> Object:
    (found,) = (one for one in load(path) if one["kind"] == "SparkApplication")
    return found


def pod(application: Object, role: str) -> Object:
    """What the operator and Spark make of a role, as far as the job decides it."""
    given = application["spec"][role]
    container = {
        "name": f"spark-kubernetes-{role}",
        "image": application["spec"]["image"],
        "imagePullPolicy": application["spec"]["imagePullPolicy"],
        "envFrom": given["envFrom"],
        "securityContext": given["securityContext"],
        "resources": {"requests": {"cpu": given["coreRequest"]}},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": role,
            "labels": given["labels"],
            "annotations": given["annotations"],
        },
        "spec": {
            "serviceAccountName": given["serviceAccount"],
            "nodeSelector": given["nodeSelector"],
            "securityContext": given["podSecurityContext"],
            "containers": [container],
        },
    }


def validate(found: Object) -> None:
    kubernetes_validate.validate(found, kubernetes_validate.latest_version(), strict=True)


def constraint(package: str) -> str:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return next(line.partition("==")[2] for line in lines if line.startswith(f"{package}=="))


each_job = pytest.mark.parametrize("path", JOBS, ids=lambda path: path.stem)
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


@each_job
def test_a_job_is_what_the_operator_takes(path: Path) -> None:
    jsonschema.validate(job(path), APPLICATION)


@each_job
def test_a_wrong_word_in_a_job_is_found(path: Path) -> None:
    for place in ((), ("spec",), ("spec", "driver"), ("spec", "restartPolicy"), ("metadata",)):
        wrong = copy.deepcopy(job(path))
        inner = wrong
        for key in place:
            inner = inner[key]
        inner["sepc"] = {}
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, APPLICATION)
    unquoted = copy.deepcopy(job(path))
    unquoted["spec"]["sparkConf"]["spark.task.cpus"] = 1  # Kubernetes refuses a number there
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(unquoted, APPLICATION)


@each_job
@pytest.mark.parametrize("role", ["driver", "executor"])
def test_its_pods_are_valid(path: Path, role: str) -> None:
    made = pod(job(path), role)
    validate(made)
    made["spec"]["containers"][0]["securityContext"] = {"allowPrivilegeEscalatoin": False}
    with pytest.raises(kubernetes_validate.ValidationError):
        validate(made)


@each_job
@pytest.mark.parametrize("role", ["driver", "executor"])
def test_its_pods_may_do_as_little_as_the_namespace_asks_for(path: Path, role: str) -> None:
    (namespace,) = load(SPARK / "base" / "namespace.yaml")
    labels = namespace["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    assert job(path)["metadata"]["namespace"] == namespace["metadata"]["name"]
    given = job(path)["spec"][role]
    user = given["podSecurityContext"]
    assert user["runAsNonRoot"] is True
    assert user["seccompProfile"] == {"type": "RuntimeDefault"}
    assert f"USER {user['runAsUser']}:{user['runAsGroup']}\n" in RECIPE.text
    assert given["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }


@each_job
def test_cores_come_out_even(path: Path) -> None:
    spec = job(path)["spec"]
    executor, task = spec["executor"], int(spec["sparkConf"]["spark.task.cpus"])
    assert executor["cores"] % task == 0
    for role in ("driver", "executor"):
        request = spec[role]["coreRequest"]
        cores = float(request[:-1]) / 1000 if request.endswith("m") else float(request)
        # Less than whole cores: a node keeps a part for itself.
        assert 0.5 * spec[role]["cores"] <= cores <= spec[role]["cores"]
    # Python does the work, and a process of it takes more than half a GiB.
    overhead = int(executor["memoryOverhead"].removesuffix("g"))
    assert overhead / (executor["cores"] // task) >= 1


@each_job
def test_a_driver_that_was_killed_starts_again(path: Path) -> None:
    policy = job(path)["spec"]["restartPolicy"]
    assert policy["type"] == "OnFailure"
    assert policy["onFailureRetries"] >= 3
    assert policy["onSubmissionFailureRetries"] >= 3
    assert int(job(path)["spec"]["sparkConf"]["spark.task.maxFailures"]) > 4  # Spark's default


@each_job
def test_what_pods_tell_each_other_is_encrypted(path: Path) -> None:
    conf = job(path)["spec"]["sparkConf"]
    assert conf["spark.authenticate"] == conf["spark.network.crypto.enabled"] == "true"
    for name in conf:
        # A target refuses settings that hold secrets; so do these files.
        Target(conf={name: "x"})


def test_the_settings_that_training_needs_are_where_it_looks() -> None:
    config, application = load(SPARK / "jobs" / "train.yaml")
    validate(config)
    (mounted,) = application["spec"]["driver"]["configMaps"]
    assert mounted == {"name": config["metadata"]["name"], "path": RECIPE.last("WORKDIR")}
    ((name, text),) = config["data"].items()
    assert name == FILE_NAME
    ((target, table),) = tomllib.loads(text)["targets"].items()
    assert Target.model_validate(table).storage.startswith("STORE/")
    words = application["spec"]["arguments"]
    assert words[words.index("--target") + 1] == target


def test_drivers_start_pods_and_workers_may_not() -> None:
    found = load(SPARK / "base" / "accounts.yaml")
    for one in found:
        validate(one)
    accounts = {one["metadata"]["name"]: one for one in found if one["kind"] == "ServiceAccount"}
    roles = {one["metadata"]["name"]: one for one in found if one["kind"] == "Role"}
    (binding,) = (one for one in found if one["kind"] == "RoleBinding")
    (subject,) = binding["subjects"]
    (namespace,) = load(SPARK / "base" / "namespace.yaml")
    assert subject["namespace"] == namespace["metadata"]["name"]
    (rule,) = roles[binding["roleRef"]["name"]]["rules"]
    assert {"pods", "services", "configmaps"} <= set(rule["resources"])
    assert {"create", "watch", "delete", "deletecollection"} <= set(rule["verbs"])
    assert "secrets" not in rule["resources"]
    for path in JOBS:
        spec = job(path)["spec"]
        assert spec["driver"]["serviceAccount"] == subject["name"]
        assert spec["executor"]["serviceAccount"] in set(accounts) - {subject["name"]}
        assert accounts[spec["executor"]["serviceAccount"]]["automountServiceAccountToken"] is False


def test_the_namespace_and_the_kustomization_are_valid() -> None:
    (namespace,) = load(SPARK / "base" / "namespace.yaml")
    validate(namespace)
    (kustomization,) = load(SPARK / "base" / "kustomization.yaml")
    files = {path.name for path in (SPARK / "base").glob("*.yaml")}
    assert {*kustomization["resources"], "kustomization.yaml"} == files
    assert kustomization["namespace"] == namespace["metadata"]["name"]


def test_the_base_comes_to_valid_objects() -> None:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")
    command = ["kubectl", "kustomize", str(SPARK / "base")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    rendered = [found for found in yaml.safe_load_all(done.stdout) if found]
    assert len(rendered) == 5
    for found in rendered:
        validate(found)
        assert found["kind"] == "Namespace" or found["metadata"]["namespace"] == "foveate-spark"


def test_the_operator_looks_where_the_jobs_are() -> None:
    (values,) = load(SPARK / "operator-values.yaml")
    assert values["spark"]["jobNamespaces"] == ["foveate-spark"]
    assert values["spark"]["serviceAccount"]["create"] is False
    assert values["webhook"]["enable"] is True  # security contexts and envFrom need it


@each_job
def test_its_secret_is_the_one_that_the_page_creates(path: Path) -> None:
    page = (ROOT / "docs" / "deploy-spark.md").read_text()
    (created,) = set(re.findall(r"create secret generic ([\w-]+)", page))
    for role in ("driver", "executor"):
        (source,) = job(path)["spec"][role]["envFrom"]
        assert source == {"secretRef": {"name": created, "optional": True}}


# The image.


def environment() -> dict[str, str]:
    """What the image's last ENV sets."""
    return dict(pair.split("=", 1) for pair in shlex.split(RECIPE.last("ENV")))


def test_versions_are_those_of_the_project() -> None:
    for path in JOBS:
        assert job(path)["spec"]["sparkVersion"] == constraint("pyspark")
    for text in (*PAGES, *JOBS, RECIPE.path):
        for tag in re.findall(r"foveate-spark:([\w.]+)", text.read_text()):
            assert tag == project()["version"], text


def test_its_user_has_a_name() -> None:
    uid = RECIPE.last("USER").partition(":")[0]
    # Hadoop refuses one without.
    assert any(f"useradd --uid {uid} " in run for run in RECIPE.arguments("RUN"))


def test_what_a_job_starts_is_in_it() -> None:
    (copied,) = (line for line in RECIPE.arguments("COPY") if "foveate_main.py" in line)
    *sources, folder = copied.split()
    for source in sources:
        assert (ROOT / source).is_file()
    for path in JOBS:
        assert job(path)["spec"]["mainApplicationFile"] == f"local://{folder}foveate_main.py"
    start = json.loads(RECIPE.last("ENTRYPOINT"))
    assert start[-1] == f"{folder}entrypoint.py"
    # Python puts this folder before all others, so no module of ours may lie in it.
    assert {Path(source).name for source in sources} == {"entrypoint.py", "foveate_main.py"}
    assert environment()["SPARK_CONF_DIR"] == "/opt/spark/conf"  # where Spark mounts it


# Its entry point.


def load_module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


ENTRYPOINT = load_module(SPARK / "entrypoint.py")
TOLD = {
    "SPARK_HOME": "/opt/foveate/spark",
    "JAVA_HOME": "/opt/java",
    "SPARK_CONF_DIR": "/opt/spark/conf",
    "SPARK_DRIVER_URL": "spark://CoarseGrainedScheduler@driver:7078",
    "SPARK_EXECUTOR_ID": "3",
    "SPARK_EXECUTOR_CORES": "4",
    "SPARK_EXECUTOR_MEMORY": "1g",
    "SPARK_APPLICATION_ID": "spark-1",
    "SPARK_EXECUTOR_POD_IP": "10.0.0.1",
    "SPARK_EXECUTOR_POD_NAME": "foveate-score-exec-3",
    "SPARK_RESOURCE_PROFILE_ID": "0",
}


def test_a_driver_is_a_spark_submit() -> None:
    told = {"SPARK_HOME": "/opt/foveate/spark", "SPARK_DRIVER_BIND_ADDRESS": "10.0.0.2"}
    given = ["driver", "--properties-file", "/opt/spark/conf/spark.properties", "main.py", "a b"]
    command = ENTRYPOINT.command(given, told)
    assert command[0] == "/opt/foveate/spark/bin/spark-submit"
    assert command[1:3] == ["--conf", "spark.driver.bindAddress=10.0.0.2"]
    assert command[-4:] == given[1:]


def test_an_executor_is_a_java_process() -> None:
    command = ENTRYPOINT.command(["executor"], TOLD)
    assert command[:3] == ["/opt/java/bin/java", "-Xms1g", "-Xmx1g"]
    place = command.index("-cp")
    assert command[place + 1] == "/opt/spark/conf:/opt/foveate/spark/jars/*:."
    flags = dict(pairwise(command[place + 3 :]))
    assert flags["--driver-url"] == TOLD["SPARK_DRIVER_URL"]
    assert flags["--hostname"] == "10.0.0.1"
    assert flags["--podName"] == "foveate-score-exec-3"
    incomplete = {name: value for name, value in TOLD.items() if name != "SPARK_DRIVER_URL"}
    with pytest.raises(KeyError, match="SPARK_DRIVER_URL"):
        ENTRYPOINT.command(["executor"], incomplete)


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0")), max_size=15))
def test_options_of_java_keep_their_order(options: list[str]) -> None:
    numbered = {f"SPARK_JAVA_OPT_{place}": option for place, option in enumerate(options)}
    others = {"SPARK_JAVA_OPT_": "-x", "XSPARK_JAVA_OPT_0": "-y"}
    told = dict(sorted({**TOLD, **numbered, **others}.items()))  # 10 comes before 2
    command = ENTRYPOINT.command(["executor"], told)
    assert command[1 : 1 + len(options)] == options
    assert command[1 + len(options)] == "-Xms1g"


def test_anything_else_is_run_as_it_is() -> None:
    done = subprocess.run(
        [sys.executable, SPARK / "entrypoint.py", sys.executable, "-c", "print('a  b')"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "a  b\n"


def test_what_spark_submit_starts_is_the_command_line() -> None:
    done = subprocess.run(
        [sys.executable, SPARK / "foveate_main.py", "score", "--nonsense"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2  # so that a pod fails, too
    assert "--nonsense" in done.stderr


# Who may read the store: what the page promises is what the libraries do.


def test_keys_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    adlfs = pytest.importorskip("adlfs")
    botocore = pytest.importorskip("botocore.session")
    page = (ROOT / "docs" / "deploy-spark.md").read_text()
    for name in (
        "AZURE_STORAGE_ACCOUNT_KEY",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_ENDPOINT_URL_S3",
    ):
        assert name in page
        monkeypatch.setenv(name, "https://minio.test" if "URL" in name else "a2V5")
    store = adlfs.AzureBlobFileSystem(account_name="account", skip_instance_cache=True)
    assert (store.account_key, store.credential) == ("a2V5", None)
    session = botocore.Session()
    credentials = session.get_credentials()
    assert (credentials.access_key, credentials.secret_key) == ("a2V5", "a2V5")
    client = session.create_client("s3", region_name="eu-central-1")
    assert client.meta.endpoint_url == "https://minio.test"


def test_what_else_fsspec_is_told_comes_from_the_environment() -> None:
    from fsspec.config import set_conf_env

    page = (ROOT / "docs" / "deploy-spark.md").read_text()
    (name, value) = re.findall(r"(FSSPEC_\w+)=(\w+)", page)[0]
    found: dict[str, dict[str, Any]] = {}
    set_conf_env(found, {name: value})
    assert found == {"s3": {"requester_pays": True}}


def test_identities_of_pods_are_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    identity = pytest.importorskip("azure.identity")
    adlfs = pytest.importorskip("adlfs")
    utils = pytest.importorskip("botocore.utils")
    # What Azure's webhook sets in pods with the label azure.workload.identity/use.
    for name in ("AZURE_CLIENT_ID", "AZURE_TENANT_ID"):
        monkeypatch.setenv(name, "00000000-0000-0000-0000-000000000000")
    monkeypatch.setenv("AZURE_FEDERATED_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("AZURE_AUTHORITY_HOST", "https://login.microsoftonline.com/")
    store = adlfs.AzureBlobFileSystem(account_name="account", skip_instance_cache=True)
    assert isinstance(store.sync_credential, identity.DefaultAzureCredential)
    kinds = {type(one).__name__ for one in store.sync_credential.credentials}
    assert "WorkloadIdentityCredential" in kinds
    # Where EKS Pod Identity answers, by the page of AWS about it.
    assert "169.254.170.23" in utils.ContainerMetadataFetcher._ALLOWED_HOSTS
    for path in JOBS:
        for role in ("driver", "executor"):
            assert job(path)["spec"][role]["labels"]["azure.workload.identity/use"] == "true"


def test_the_clouds_give_both_accounts_their_rights() -> None:
    found = load(SPARK / "base" / "accounts.yaml")
    accounts = [one["metadata"]["name"] for one in found if one["kind"] == "ServiceAccount"]
    for cloud in CLOUDS:
        page = (ROOT / "docs" / f"deploy-spark-{cloud}.md").read_text()
        assert f"for NAME in {' '.join(accounts)}; do" in page


# The pages.


def shell(page: Path) -> list[list[str]]:
    """The commands of a page's shell blocks, as words."""
    blocks = re.findall(r"```sh\n(.*?)```", page.read_text(), re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [
        shlex.split(line, comments=True)
        for line in lines
        if re.match(r"(foveate|\S*spark-submit\") ", line)
    ]


def ours(page: Path) -> list[list[str]]:
    """What a page hands to foveate, without the program's name."""
    found = []
    for words in shell(page):
        start = words.index("foveate_main.py") if "foveate_main.py" in words else 0
        found.append(words[start + 1 :])
    return found


def commands() -> dict[str, list[str]]:
    jobs = {path.stem: job(path)["spec"]["arguments"] for path in JOBS}
    docs = {" ".join(words): words for page in PAGES for words in ours(page)}
    return {**jobs, **docs}


@pytest.mark.parametrize("words", commands().values(), ids=commands())
def test_its_command_is_one_of_ours(words: list[str]) -> None:
    command: Any = get_command(app)
    context = command.make_context("foveate", list(words))
    left = words
    while hasattr(command, "resolve_command"):
        name, command, left = command.resolve_command(context, left)
        context = command.make_context(name, list(left), parent=context)


def test_a_wrong_option_is_found() -> None:
    with pytest.raises(typer.TyperException, match="--nonsense"):
        test_its_command_is_one_of_ours(["score", "m.onnx", "photos", "--nonsense"])


def test_pages_and_jobs_have_commands() -> None:
    assert {path.stem for path in JOBS} == {"featurize", "score", "train"}
    verbs = {words[0] for words in commands().values()}
    assert {"score", "featurize", "train", "copy", "target"} <= verbs


@each_job
@pytest.mark.parametrize("store", CLOUDS.values(), ids=CLOUDS)
def test_what_is_filled_in_makes_it_whole(path: Path, store: str) -> None:
    page = (ROOT / "docs" / "deploy-spark.md").read_text()
    rules = re.findall(r'sed "(s#image:.*?)" deploy/spark/jobs/', page)
    assert rules
    for rule in rules:
        script = rule.replace("$REGISTRY", "registry.test").replace("$STORE", store)
        done = subprocess.run(
            ["sed", script, str(path)], capture_output=True, text=True, check=True
        )
        assert "STORE" not in re.sub(r"^#.*$", "", done.stdout, flags=re.MULTILINE)
        *_, filled = yaml.safe_load_all(done.stdout)
        jsonschema.validate(filled, APPLICATION)
        assert filled["spec"]["image"].startswith("registry.test/foveate-spark:")
        urls = [word for word in filled["spec"]["arguments"] if "/" in word]
        assert len(urls) >= 2
        assert all(url.startswith(f"{store}/") for url in urls)


def test_targets_on_the_page_are_targets() -> None:
    page = (ROOT / "docs" / "deploy-spark.md").read_text()
    blocks = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    assert blocks
    for block in blocks:
        for name, table in tomllib.loads(block)["targets"].items():
            target = Target.model_validate(table)
            assert target.master.startswith("spark://")
            assert ["target", "check", name] in ours(ROOT / "docs" / "deploy-spark.md")


@each_page
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text()
    links = re.findall(r"\]\((?!https?:)([^)#]*)(#[^)]*)?\)", text)
    assert links
    for name, anchor in links:
        there = page.parent / name if name else page
        assert there.is_file(), name
        if anchor:
            heads = re.findall(r"^#+ (.*)$", there.read_text(), re.MULTILINE)
            slugs = {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}
            assert anchor[1:] in slugs, anchor


def test_each_cloud_is_gone_through_to_the_end() -> None:
    for cloud in CLOUDS:
        text = (ROOT / "docs" / f"deploy-spark-{cloud}.md").read_text()
        heads = re.findall(r"^## (.*)$", text, re.MULTILINE)
        assert heads == ["Create", "Copy the data", "Run", "Look", "Delete everything again"]
        # Every sum of money and every duration is marked as what it is.
        assert text.count("**Estimate**") >= 4
        assert re.search(r"estimates of \d+ \w+ \d{4}", text)
        assert "has been run on" in text
        for paragraph in re.split(r"\n\n", text):
            if re.search(r"\d \$ |\d \$\.|\d minutes", paragraph):
                assert "stimate" in paragraph, paragraph
