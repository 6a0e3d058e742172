"""`foveate target`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from foveate.cli import options
from foveate.cli.console import print_json, print_table, remark

if TYPE_CHECKING:
    from foveate.spark.check.findings import TargetCheck

app = typer.Typer(
    help="The clusters of a project, [targets.NAME] in its foveate.toml.", no_args_is_help=True
)

Project = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="the project whose foveate.toml it is [default: here]",
        show_default=False,
    ),
]


@app.command(name="list")
def list_targets(
    project: Project = None,
    as_json: options.Json = False,
    _debug: options.Debug = False,
) -> None:
    """List the targets of a project."""
    from foveate.settings import FILE_NAME
    from foveate.targets import find_targets

    targets = find_targets(project)
    if as_json:
        # As written in the file: a secret is the name of its environment variable there.
        print_json({"targets": {name: target.model_dump() for name, target in targets.items()}})
        return
    if not targets:
        print(f"‘{(project or Path()) / FILE_NAME}’ has no target. Add [targets.NAME] to it.")
        return
    print_table(
        ["target", "kind", "master", "executors", "cores", "memory", "storage"],
        [
            [
                name,
                target.kind,
                target.master or "–",
                f"{target.executors or '–'}",
                f"{target.cores or '–'}",
                target.memory or "–",
                target.storage or "–",
            ]
            for name, target in targets.items()
        ],
    )


@app.command()
def check(
    name: Annotated[str, typer.Argument(metavar="NAME", show_default=False)],
    project: Project = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    _debug: options.Debug = False,
) -> None:
    """Prove that a target's workers are there, have this foveate, and reach its storage."""
    from foveate.spark.check.target import check_target
    from foveate.targets import find_target

    target = find_target(name, project)
    remark(f"Asking ‘{name}’ …", quiet=quiet or as_json)
    checked = check_target(target)
    sentence = " ".join(checked.problems)
    if as_json:
        print_json(_as_json(name, checked) | ({"error": sentence} if sentence else {}))
    else:
        _print(checked)
    if sentence:
        print(f"Error: {sentence}", file=sys.stderr)
        raise typer.Exit(1)


@app.command()
def pack(
    out: Annotated[
        Path, typer.Option(metavar="FILE.tar.gz", help="the archive", show_default=False)
    ],
    also: Annotated[
        list[str] | None,
        typer.Option(
            "--with",
            metavar="NAME",
            help="another package, with what it needs, or an extra of foveate, as in `--with "
            "refine`; repeatable",
            show_default=False,
        ),
    ] = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    _debug: options.Debug = False,
) -> None:
    """Pack this Python and foveate into one archive, which Spark unpacks on every worker."""
    from foveate.outputs import Output, check_outputs
    from foveate.spark.cluster.packing import pack_environment

    check_outputs([Output("the archive", out, (".tar.gz", ".tgz"))])
    remark("Packing …", quiet=quiet or as_json)
    packed = pack_environment(out, also=also or ())
    if as_json:
        print_json(
            {
                "environment": str(packed.path),
                "bytes": packed.bytes,
                "unpacked_bytes": packed.unpacked_bytes,
                "files": packed.files,
                "packages": packed.packages,
            }
        )
        return
    print(
        f"Environment  {packed.path}\n"
        f"Size         {packed.bytes / 2**20:,.0f} MB; {packed.unpacked_bytes / 2**20:,.0f} MB and "
        f"{packed.files:,} files on each worker\n"
        f"In it        Python {sys.version_info.major}.{sys.version_info.minor}, foveate "
        f"{packed.packages['foveate']}, {len(packed.packages) - 1} packages\n"
        f'Use it with  environment = "{packed.path}" in [targets.NAME]'
    )


def _print(checked: TargetCheck) -> None:
    if checked.workers:
        print_table(
            ["host", "executor", "cores", "threads a task", "Python", "foveate", "network"],
            [
                [
                    worker.host,
                    worker.executor,
                    f"{worker.cores or '–'}",
                    f"{worker.threads}",
                    worker.python,
                    worker.foveate or "–",
                    f"{worker.runtime}, {worker.precision}" if worker.runtime else "–",
                ]
                for worker in checked.workers
            ],
        )
        print()
    print(f"Master   {checked.master}")
    if checked.workers:
        print(f"Workers  {len(checked.workers)}, {checked.cores or 'unknown'} cores together")
    if checked.storage:
        proved = "" if checked.problems else ", written and read by all"
        print(f"Storage  {checked.storage}{proved}")
    for line in checked.remarks:
        print(line)
    if not checked.problems:
        print(f"All is right, in {checked.seconds:.0f} s.")


def _as_json(name: str, checked: TargetCheck) -> dict[str, object]:
    return {
        "target": name,
        "ok": not checked.problems,
        "master": checked.master,
        "cores": checked.cores,
        "workers": [
            {
                "host": worker.host,
                "executor": worker.executor,
                "cores": worker.cores,
                "threads": worker.threads,
                "python": worker.python,
                "foveate": worker.foveate,
                "location": worker.location,
                "runtime": worker.runtime,
                "precision": worker.precision,
                "problems": list(worker.problems),
            }
            for worker in checked.workers
        ],
        "storage": checked.storage or None,
        "problems": list(checked.problems),
        "remarks": list(checked.remarks),
        "seconds": checked.seconds,
    }
