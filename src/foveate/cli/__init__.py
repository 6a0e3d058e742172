"""The command line: parses, calls a verb, prints.

Exit status: 0 done, 1 failed with one plain sentence on stderr, 2 wrong usage, 130 stopped by
Ctrl-C. With `--json`, stdout carries exactly one JSON object, `{"error": …}` where the command
failed.
"""

from __future__ import annotations

import json
import os
import sys

import typer

from foveate.cli import (
    backbones,
    bulk,
    call,
    copy,
    data,
    export,
    predict,
    project,
    refine,
    runs,
    serve,
    target,
    tiles,
    train,
    tune,
)
from foveate.errors import FoveateError

STOPPED = 130

app = typer.Typer(
    name="foveate",
    help="Turn a folder of pictures into an evaluated, portable image classifier.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(project.demo)
app.command()(project.new)
app.command()(train.train)
app.command("refine")(refine.refine)
app.command()(train.evaluate)
app.command()(tune.tune)
app.command()(predict.predict)
app.command()(bulk.score)
app.command()(bulk.featurize)
app.command()(export.export)
app.command()(serve.serve)
app.command()(call.call)
app.command()(copy.copy)
app.command()(data.check)
app.command()(data.split)
app.add_typer(backbones.app, name="backbones")
app.add_typer(runs.app, name="runs")
app.add_typer(target.app, name="target")
app.add_typer(tiles.app, name="tiles")


@app.callback(invoke_without_command=True)
def _version(
    version: bool = typer.Option(False, "--version", help="print the version and stop"),
) -> None:
    if version:
        from foveate import __version__

        typer.echo(f"foveate {__version__}")
        raise typer.Exit


def main() -> None:
    """Run the command line and exit."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run the command line with these arguments.

    Returns:
        The exit status.
    """
    debug = "--debug" in arguments
    try:
        status = app(arguments, prog_name="foveate", standalone_mode=False) or 0
        if status == STOPPED:  # how Typer hands on a Ctrl-C
            raise KeyboardInterrupt
        return int(status)
    except typer.TyperException as error:
        print(f"Usage error: {error.format_message()}", file=sys.stderr)
        return error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        print(
            "Stopped. What was computed is kept: the same command goes on from here.",
            file=sys.stderr,
        )
        return STOPPED
    except SystemExit as error:
        if not isinstance(error.__context__, BrokenPipeError):
            raise
        # The reader of our output (`head`) has gone, which Typer takes for a failure.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if debug:
            raise
        return _fail(error, as_json="--json" in arguments)


def _fail(error: Exception, *, as_json: bool) -> int:
    if isinstance(error, FoveateError):
        sentence = str(error)
    elif isinstance(error, OSError):
        where = f" ‘{error.filename}’" if error.filename else ""
        sentence = f"{error.strerror or error}{where}."
    elif isinstance(error, MemoryError):
        sentence = "There is not enough memory. Try fewer `--workers` or a lower `--resolution`."
    else:
        sentence = (
            f"This is a defect of foveate, not of your data: {type(error).__name__}: {error}. "
            "The same command with --debug shows where; please report it."
        )
    print(f"Error: {sentence}", file=sys.stderr)
    if as_json:
        print(json.dumps({"error": sentence}, ensure_ascii=False))
    return 1
