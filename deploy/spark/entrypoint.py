"""The image's entry point: what Spark on Kubernetes starts in its pods.

Spark's own images answer to `driver …` and `executor` with a shell script that pip's pyspark does
not bring; this is ours. Anything else is run as it is, as in
`docker run foveate-spark:0.1.0 foveate --version`.

What Spark tells a pod: https://spark.apache.org/docs/latest/running-on-kubernetes.html, and the
names of the environment in org.apache.spark.deploy.k8s.Constants.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence

EXECUTOR = "org.apache.spark.scheduler.cluster.k8s.KubernetesExecutorBackend"
_OPTION = re.compile(r"SPARK_JAVA_OPT_(\d+)")


def command(arguments: Sequence[str], environment: Mapping[str, str]) -> list[str]:
    """What to run.

    Raises:
        KeyError: Spark did not set what an executor or a driver needs.
    """
    if arguments[:1] == ["driver"]:
        return [
            f"{environment['SPARK_HOME']}/bin/spark-submit",
            "--conf",
            f"spark.driver.bindAddress={environment['SPARK_DRIVER_BIND_ADDRESS']}",
            "--deploy-mode",
            "client",
            *arguments[1:],
        ]
    if arguments[:1] == ["executor"]:
        return _executor(environment)
    return list(arguments)


def _executor(environment: Mapping[str, str]) -> list[str]:
    home = environment["SPARK_HOME"]
    settings = environment.get("SPARK_CONF_DIR", f"{home}/conf")
    extra = environment.get("SPARK_CLASSPATH")  # spark.executor.extraClassPath
    # The last one: jars that a job brings arrive in the working directory.
    classpath = [settings, *([extra] if extra else []), f"{home}/jars/*", os.curdir]
    memory = environment["SPARK_EXECUTOR_MEMORY"]
    return [
        f"{environment['JAVA_HOME']}/bin/java",
        *_java_options(environment),
        f"-Xms{memory}",
        f"-Xmx{memory}",
        "-cp",
        os.pathsep.join(classpath),
        EXECUTOR,
        "--driver-url",
        environment["SPARK_DRIVER_URL"],
        "--executor-id",
        environment["SPARK_EXECUTOR_ID"],
        "--cores",
        environment["SPARK_EXECUTOR_CORES"],
        "--app-id",
        environment["SPARK_APPLICATION_ID"],
        "--hostname",
        environment["SPARK_EXECUTOR_POD_IP"],
        "--resourceProfileId",
        environment["SPARK_RESOURCE_PROFILE_ID"],
        "--podName",
        environment["SPARK_EXECUTOR_POD_NAME"],
    ]


def _java_options(environment: Mapping[str, str]) -> list[str]:
    numbered = [
        (int(found[1]), value)
        for name, value in environment.items()
        if (found := _OPTION.fullmatch(name))
    ]
    return [value for _, value in sorted(numbered)]


if __name__ == "__main__":
    words = command(sys.argv[1:], os.environ)
    os.execvp(words[0], words)  # noqa: S606 - no shell: what starts here replaces this process
