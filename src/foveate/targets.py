"""Clusters that a project can send work to: `[targets.NAME]` in its `foveate.toml`.

    [targets.county]
    master = "spark://head:7077"
    executors = 8
    cores = 4
    memory = "6g"
    storage = "abfs://work@account.dfs.core.windows.net/foveate"

    [targets.county.storage_options.abfs]
    account_name = "account"
    account_key = "env:AZURE_STORAGE_KEY"

Secrets are never in the file: a value `env:NAME` is read from the environment when it is needed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from foveate.errors import SettingsError
from foveate.settings import FILE_NAME, read_settings_file

TABLE = "targets"
FROM_ENVIRONMENT = "env:"
_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
_SECRET = frozenset(
    {"password", "passwd", "passphrase", "pwd", "secret", "token", "credential", "credentials"}
    | {"sas", "signature"}
)
_IN_URL = re.compile(r"://[^/@\s]*:[^/@\s]+@|[?&](?:sig|sv|X-Amz-Signature)=", re.IGNORECASE)
_SECRET_KEYS = frozenset({"access", "account", "api", "auth", "encryption", "private", "shared"})
"""A key is secret beside one of these, or by itself; others are names (`ssh_key_path`)."""
_NOT_ITSELF = frozenset(
    {
        "bits",
        "class",
        "classes",
        "enabled",
        "file",
        "files",
        "id",
        "interval",
        "length",
        "name",
        "path",
    }
    | {"mount", "period", "provider", "renewal", "service", "size", "timeout", "ttl", "type", "url"}
)
"""What a setting about a secret ends in, rather than the secret itself."""


class Target(BaseModel):
    """A cluster, and how to use it.

    Raises:
        pydantic.ValidationError: a value is wrong, or a secret is written down
            (`find_target` says it in a sentence).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["spark", "torch"] = Field(
        "spark", description="spark: a Spark cluster; torch: machines that run PyTorch's torchrun"
    )
    master: str = Field(
        "",
        description="spark: spark://HOST:7077, k8s://https://…, yarn, local[2]; empty: what "
        "spark-submit or spark-defaults.conf say, else this machine; torch: HOST:PORT where the "
        "machines meet",
    )
    executors: int = Field(
        0, ge=0, description="executors (spark), machines (torch); 0: what the cluster gives"
    )
    cores: int = Field(
        0, ge=0, description="cores of an executor (spark), processes a machine (torch); 0: all"
    )
    memory: str = Field(
        "", pattern=r"^(\d+[kmgt])?$", description="Java heap of an executor, as in 4g"
    )
    python: str = Field("", description="Python on the workers, where foveate is installed")
    environment: str = Field(
        "", description="an environment that `foveate target pack` packed, path or URL"
    )
    storage: str = Field(
        "",
        description="folder or URL that this machine and all workers reach, for derived data",
    )
    storage_options: Mapping[str, Mapping[str, str]] = Field(
        {}, description="arguments of fsspec's file systems, by protocol: abfs, s3, …"
    )
    conf: Mapping[str, str] = Field({}, description="any other configuration of Spark")

    @field_validator("master", "environment", "storage")
    @classmethod
    def _no_secrets_in_urls(cls, value: str, info: ValidationInfo) -> str:
        _refuse_secret_urls(str(info.field_name), value)
        return value

    @field_validator("conf", mode="before")
    @classmethod
    def _as_text(cls, values: object) -> object:
        if not isinstance(values, Mapping):
            return values
        return {
            name: str(value).lower() if isinstance(value, bool) else str(value)
            for name, value in values.items()
        }

    @field_validator("conf")
    @classmethod
    def _no_secrets_in_conf(cls, values: Mapping[str, str]) -> Mapping[str, str]:
        _refuse_secrets("conf", values)
        return values

    @field_validator("storage_options")
    @classmethod
    def _no_secrets(cls, values: Mapping[str, Mapping[str, str]]) -> Mapping[str, object]:
        for protocol, options in values.items():
            _refuse_secrets(f"storage_options.{protocol}", options)
        return values

    def opened_storage_options(self) -> dict[str, dict[str, str]]:
        """The storage options with their secrets, for `files.use_storage_options`.

        Raises:
            SettingsError: the environment lacks one of them.
        """
        return {
            protocol: {name: _opened(value) for name, value in options.items()}
            for protocol, options in self.storage_options.items()
        }

    def opened_conf(self) -> dict[str, str]:
        """The configuration of Spark with its secrets.

        Raises:
            SettingsError: the environment lacks one of them.
        """
        return {name: _opened(value) for name, value in self.conf.items()}


def find_targets(project: Path | None) -> dict[str, Target]:
    """The targets of a project, or, where there is none, of the folder one is in.

    Raises:
        SettingsError: the settings file cannot be read, or a target in it is wrong.
    """
    path = (project or Path()) / FILE_NAME
    tables = read_settings_file(path).get(TABLE, {})
    if not isinstance(tables, dict) or not all(isinstance(t, dict) for t in tables.values()):
        raise SettingsError(f"‘{path}’: targets are tables, as in [targets.county].")
    targets = {}
    for name, table in tables.items():
        try:
            targets[name] = Target.model_validate(table)
        except ValidationError as error:
            problem = error.errors()[0]
            where = ".".join(["targets", name, *map(str, problem["loc"])])
            if problem["type"] == "extra_forbidden":
                known = ", ".join(Target.model_fields)
                raise SettingsError(f"‘{path}’: there is no {where}. There are: {known}.") from None
            message = problem["msg"].removeprefix("Value error, ")
            raise SettingsError(f"‘{path}’: {where}: {message}.") from None
    return targets


def find_target(name: str, project: Path | None) -> Target:
    """One target by its name.

    Raises:
        SettingsError: there is none of that name, or the settings file is wrong.
    """
    targets = find_targets(project)
    if name not in targets:
        path = (project or Path()) / FILE_NAME
        known = (
            f"the targets there are: {', '.join(targets)}" if targets else "there is none at all"
        )
        raise SettingsError(f"‘{path}’ has no target ‘{name}’; {known}. Add [targets.{name}].")
    return targets[name]


def is_secret(name: str) -> bool:
    """Whether a setting, by its name, holds a secret: `account_key`, `spark.ssl.keyPassword`.

    Settings about a secret do not: `token_renewal_interval`, `private_key_path`, `secretKeyRef`.
    Neither do names that only look like it: `keyspace`, `serviceAccountName`, `sasl`.
    """
    words = [word.lower() for word in _WORDS.findall(name)]
    if not words or words[-1] in _NOT_ITSELF or "ref" in words:
        return False
    if _SECRET.intersection(words) or words[-2:] == ["connection", "string"]:
        return True
    pairs = pairwise(words)
    return words == ["key"] or any(word in _SECRET_KEYS and key == "key" for word, key in pairs)


def _refuse_secret_urls(where: str, value: str) -> None:
    if _IN_URL.search(value):
        raise ValueError(
            f"{where} has a password or a signature in its URL, which does not belong in a file; "
            "leave it out, and give it as one of storage_options, from the environment"
        )


def _refuse_secrets(where: str, values: Mapping[str, str]) -> None:
    for name, value in values.items():
        _refuse_secret_urls(f"{where}.{name}", value)
        if is_secret(name) and value and not value.startswith(FROM_ENVIRONMENT):
            raise ValueError(
                f"{where}.{name} is a secret, which does not belong in a file; put it into the "
                f'environment and write {name} = "env:NAME_OF_THE_VARIABLE"'
            )


def _opened(value: str) -> str:
    if not value.startswith(FROM_ENVIRONMENT):
        return value
    name = value.removeprefix(FROM_ENVIRONMENT)
    try:
        return os.environ[name]
    except KeyError:
        raise SettingsError(
            f"The environment variable {name} is not set; a target needs it."
        ) from None
