"""Targets: read from foveate.toml, secrets only from the environment."""

from __future__ import annotations

import json
import re
import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from foveate.errors import SettingsError
from foveate.settings import make_settings, settings_template
from foveate.targets import Target, find_target, find_targets, is_secret

COUNTY = """
seed = 3

[targets.county]
master = "spark://head:7077"
executors = 8
cores = 4
memory = "6g"
storage = "abfs://work@account.dfs.core.windows.net/foveate"

[targets.county.storage_options.abfs]
account_name = "account"
account_key = "env:COUNTY_KEY"

[targets.county.conf]
"spark.ui.enabled" = true
"spark.task.maxFailures" = 8

[targets.machines]
kind = "torch"
master = "head:29400"
"""

SECRETS = [
    "account_key",
    "key",
    "secret",
    "sas_token",
    "sas",
    "connection_string",
    "credential",
    "password",
    "api_key",
    "token",
    "accessKey",
    "client_secret",
    "aws_secret_access_key",
    "aws_session_token",
    "SASToken",
    "shared_access_signature",
    "fs.azure.account.key.account.dfs.core.windows.net",
    "fs.s3a.access.key",
    "fs.s3a.secret.key",
    "fs.azure.sas.container.account.blob.core.windows.net",
    "spark.authenticate.secret",
    "spark.ssl.keyPassword",
    "spark.hadoop.fs.azure.account.oauth2.client.secret",
    "spark.kubernetes.authenticate.oauthToken",
    "spark.executorEnv.AWS_SECRET_ACCESS_KEY",
]

HARMLESS = [
    "account_name",
    "anon",
    "endpoint_url",
    "default_fill_cache",
    "key_file",
    "private_key_path",
    "spark.sasl.something",
    "spark.network.sasl.serverAlwaysEncrypt",
    "spark.cassandra.keyspace",
    "spark.kubernetes.authenticate.driver.serviceAccountName",
    "spark.ssl.keyStore",
    "spark.ssl.keyStoreType",
    "spark.hadoop.fs.s3a.aws.credentials.provider",
    "spark.security.credentials.hadoopfs.enabled",
    "spark.io.encryption.keySizeBits",
    "spark.kubernetes.executor.secretKeyRef.KEY",
    "spark.hadoop.fs.azure.account.key.provider",
    "spark.monkey.patched",
    "spark.sql.shuffle.partitions",
    "spark.kubernetes.driver.secrets.county.mount.path",
]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "foveate.toml").write_text(COUNTY)
    return tmp_path


def write(folder: Path, text: str) -> Path:
    (folder / "foveate.toml").write_text(text, encoding="utf-8")
    return folder


def quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def test_targets_of_a_project(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COUNTY_KEY", "hidden")
    county = find_target("county", project)
    assert (county.kind, county.master, county.executors) == ("spark", "spark://head:7077", 8)
    assert county.conf == {"spark.ui.enabled": "true", "spark.task.maxFailures": "8"}
    assert county.storage_options["abfs"]["account_key"] == "env:COUNTY_KEY"
    assert county.opened_storage_options() == {
        "abfs": {"account_name": "account", "account_key": "hidden"}
    }
    assert list(find_targets(project)) == ["county", "machines"]
    monkeypatch.chdir(project)
    assert find_target("machines", None).kind == "torch"


def test_settings_do_not_mind_targets(project: Path) -> None:
    assert make_settings(project).seed == 3


def test_no_file_has_no_targets(tmp_path: Path) -> None:
    assert find_targets(tmp_path) == {}
    with pytest.raises(SettingsError, match=r"no target ‘x’; there is none at all.*\[targets\.x\]"):
        find_target("x", tmp_path)


def test_an_unknown_target_names_the_others(project: Path) -> None:
    with pytest.raises(SettingsError, match="county, machines"):
        find_target("country", project)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[targets.a]\nmemroy = '4g'", r"no targets\.a\.memroy\. There are: .*memory"),
        ("[targets.a]\nmemory = '4'", r"targets\.a\.memory"),
        ("[targets.a]\nmemory = 'lots'", r"targets\.a\.memory"),
        ("[targets.a]\ncores = -1", r"targets\.a\.cores"),
        ("[targets.a]\nkind = 'slurm'", r"targets\.a\.kind.*spark.*torch"),
        ("targets = 3", "targets are tables"),
        ("[targets]\na = 3", "targets are tables"),
        ("[targets.a", "TOML"),
        ("[targets.a]\nstorage_options = 'x'", r"targets\.a\.storage_options"),
        ("[targets.a]\nstorage = 'https://a/b?sv=1&sig=abc'", "storage has a password or a sign"),
        ("[targets.a]\nmaster = 'spark://me:pw@head:7077'", "master has a password"),
        ("[targets.a.conf]\nx = 'jdbc://me:pw@db/x'", r"conf\.x has a password"),
        ("[targets.a.conf]\n'spark.authenticate.secret' = 'abc'", r"env:NAME_OF_THE_VARIABLE"),
        ("[targets.a.storage_options.s3]\nsecret = 'abc'", r"storage_options\.s3\.secret is a se"),
    ],
)
def test_what_is_wrong_is_said(text: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=says) as caught:
        find_targets(write(tmp_path, text))
    assert "abc" not in str(caught.value)
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize("name", SECRETS)
def test_secrets_are_seen(name: str) -> None:
    assert is_secret(name)
    with pytest.raises(ValidationError, match="is a secret"):
        Target(conf={name: "value"})
    with pytest.raises(ValidationError, match="is a secret"):
        Target(storage_options={"s3": {name: "value"}})
    assert Target(conf={name: "env:VALUE"})


@pytest.mark.parametrize("name", HARMLESS)
def test_what_is_no_secret_may_be_written_down(name: str) -> None:
    assert Target(conf={name: "value"}).conf == {name: "value"}


def test_a_container_in_front_of_its_account_is_no_password() -> None:
    assert Target(storage="abfs://work@account.dfs.core.windows.net/x").storage


def test_a_secret_that_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOT_SET", raising=False)
    target = Target(
        conf={"spark.authenticate.secret": "env:NOT_SET"},
        storage_options={"s3": {"secret": "env:NOT_SET"}},
    )
    for opened in (target.opened_conf, target.opened_storage_options):
        with pytest.raises(SettingsError, match="NOT_SET is not set"):
            opened()


words = st.text(string.ascii_letters + string.digits + "-_", min_size=1, max_size=10)
texts = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=20)


@given(
    name=words,
    executors=st.integers(0, 10_000),
    memory=st.one_of(st.just(""), st.from_regex(r"\A[0-9]{1,4}[kmgt]\Z")),
    conf=st.dictionaries(texts.filter(lambda t: not is_secret(t)), st.integers() | st.booleans()),
)
def test_what_is_written_is_read(
    name: str,
    executors: int,
    memory: str,
    conf: dict[str, int | bool],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    lines = [f"[targets.{name}]", f"executors = {executors}", f'memory = "{memory}"']
    lines += [
        f"[targets.{name}.conf]",
        *(f"{quoted(k)} = {json.dumps(v)}" for k, v in conf.items()),
    ]
    folder = write(tmp_path_factory.mktemp("project"), "\n".join(lines))
    target = find_target(name, folder)
    assert (target.executors, target.memory) == (executors, memory)
    assert target.conf == {k: str(v).lower() if v is not True else "true" for k, v in conf.items()}


@given(texts)
def test_any_name_is_secret_or_not(name: str) -> None:
    assert is_secret(name) in (True, False)
    assert is_secret(f"{name}.password")


def test_the_example_of_a_new_project_is_a_target(tmp_path: Path) -> None:
    template = settings_template()
    assert find_targets(write(tmp_path, template)) == {}
    start = template.index("# [targets")
    example = re.sub(r"(?m)^# ?", "", template[start:])
    (county,) = find_targets(write(tmp_path, template[:start] + example)).values()
    assert county.master == "spark://head:7077"
    assert county.storage_options["abfs"]["account_key"].startswith("env:")
