"""The command line: parses, calls a verb, prints.

Exit status: 0 done, 1 failed with one plain sentence on stderr, 2 wrong usage, 130 stopped by
Ctrl-C. With `--json`, stdout carries exactly one JSON object, `{"error": …}` where the command
failed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from tempfile import gettempdir

import typer

from foveate.cli import (
    backbones,
    bulk,
    call,
    copy,
    data,
    evaluate,
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
from foveate.cli.console import print_json
from foveate.cli.options import Command
from foveate.cli.streams import Unheard, drop_output, flush_output, open_streams
from foveate.errors import FoveateError
from foveate.garbage import collect_seldom
from foveate.launch.failures import (
    GONE,
    STOPPED,
    Cause,
    hand_over,
    kind_of,
    says_that_others_are_gone,
)
from foveate.launch.helpers import until_the_first_is_done
from foveate.launch.position import is_helper
from foveate.writing import FULL, output_error

app = typer.Typer(
    name="foveate",
    help="Turn a folder of pictures into an evaluated, portable image classifier.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_COMMANDS: dict[str, Callable[..., None]] = {
    "demo": project.demo,
    "new": project.new,
    "train": train.train,
    "refine": refine.refine,
    "evaluate": evaluate.evaluate,
    "tune": tune.tune,
    "predict": predict.predict,
    "score": bulk.score,
    "featurize": bulk.featurize,
    "export": export.export,
    "serve": serve.serve,
    "call": call.call,
    "copy": copy.copy,
    "check": data.check,
    "split": data.split,
}
for _name, _command in _COMMANDS.items():
    app.command(_name, cls=Command)(_command)
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
    open_streams()
    collect_seldom()
    sys.exit(until_the_first_is_done(lambda: run(sys.argv[1:])))


def run(arguments: list[str]) -> int:
    """Run the command line with these arguments.

    Returns:
        The exit status.
    """
    as_json = "--json" in arguments
    try:
        status = app(arguments, prog_name="foveate", standalone_mode=False) or 0
        flush_output()
        if status == STOPPED:  # how Typer hands on a Ctrl-C
            raise KeyboardInterrupt
        return int(status)
    except typer.TyperException as error:
        return _fail(f"Usage error: {error.format_message()}", error.exit_code, Cause.EXPLAINED)
    except (KeyboardInterrupt, typer.Abort):
        stopped = "Stopped. What was computed is kept: the same command goes on from here."
        return _fail(stopped, STOPPED, Cause.EXPLAINED)
    except Unheard:
        return _unheard()
    except SystemExit as error:
        if not isinstance(error.__context__, Unheard):
            raise
        return _unheard()  # which Typer takes for a failure
    except Exception as error:
        sentence = _sentence(error)
        if "--debug" in arguments:
            hand_over(sentence, 1, kind_of(error))
            raise
        return _fail(f"Error: {sentence}", 1, kind_of(error), as_json=as_json)


def _unheard() -> int:
    """The reader of our output (`head`) has gone, and wants no more."""
    drop_output()
    return 0


def _fail(said: str, status: int, cause: Cause, *, as_json: bool = False) -> int:
    """Say it once, whatever the number of processes; the exit status."""
    sentence = said.removeprefix("Error: ")
    if hand_over(sentence, status, cause):
        return status
    print(said, file=sys.stderr)
    if as_json and not is_helper():
        with suppress(OSError):  # that is what was said, or it is of no use to say more
            print_json({"error": sentence})
    try:
        flush_output()
    except OSError:
        drop_output()
    return status


def _sentence(error: Exception) -> str:
    if isinstance(error, FoveateError):
        return str(error)
    if isinstance(error, OSError):
        if error.errno in FULL:  # with no name it is a temporary file
            return str(output_error(error.filename or gettempdir(), error))
        where = f" ‘{error.filename}’" if error.filename else ""
        return f"{str(error.strerror or error).rstrip('.')}{where}."
    if isinstance(error, UnicodeEncodeError) and error.encoding != "utf-8":
        return (
            f"The characters of ‘{error.object}’ are none of this system's language settings. Set "
            "LC_ALL=C.UTF-8 or PYTHONUTF8=1."
        )
    if isinstance(error, MemoryError):
        return "There is not enough memory. Try fewer `--workers` or a lower `--resolution`."
    if says_that_others_are_gone(error):
        return GONE
    return (
        f"This is a defect of foveate, not of your data: {type(error).__name__}: {error}. "
        "The same command with --debug shows where; please report it."
    )
