"""`foveate call`: the labels of images, from a server."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from typing import Annotated

import typer

from foveate.cli import options
from foveate.cli.console import ProgressBar, remark
from foveate.cli.images import ImagesArgument, PredictionPrinter, expand, read_standard_input

TOKEN = "FOVEATE_TOKEN"  # noqa: S105 - the name of a variable
"""Where the token comes from. As a flag every user of the machine could read it in `ps`."""
MOST_REMARKS = 5


def call(
    url: Annotated[
        str,
        typer.Argument(
            metavar="URL",
            help="of a server that `foveate serve` started; its token, if it wants one, comes from "
            "the environment variable FOVEATE_TOKEN",
            show_default=False,
        ),
    ],
    images: ImagesArgument,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="which of the server's models [default: its first]",
            show_default=False,
        ),
    ] = None,
    as_base64: Annotated[
        bool, typer.Option("--base64", help="send JSON with base64, not the image as it is")
    ] = False,
    parallel: Annotated[int, typer.Option(min=1, max=256, help="images on their way at once")] = 8,
    timeout: Annotated[
        float, typer.Option(min=0.1, help="seconds to wait for a connection or an answer")
    ] = 60.0,
    retries: Annotated[
        int, typer.Option(min=0, help="times to ask again when the server is busy or gone")
    ] = 6,
    cacert: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="certificates (PEM) to trust instead of the usual ones"),
    ] = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    _debug: options.Debug = False,
) -> None:
    """Ask the server at URL which label each IMAGE has."""
    from foveate.classifier import Prediction
    from foveate.errors import CallError
    from foveate.serve.client import NOT_ANSWERED, Client

    client = Client(
        url,
        token=os.environ.get(TOKEN, "").strip() or None,
        model=model,
        timeout=timeout,
        retries=retries,
        parallel=parallel,
        as_base64=as_base64,
        cacert=cacert,
        on_retry=_Remarks(quiet=quiet),
    )
    paths = [path for image in images for path in expand(image)]
    given = (read_standard_input() if path == "-" else path for path in paths)
    unanswered = 0
    with PredictionPrinter(as_json=as_json) as printer:
        try:
            with client, ProgressBar(quiet=quiet) as progress:
                progress("call", 0, len(paths))
                for path, prediction in zip(paths, client.stream(given), strict=True):
                    printer.add(path, prediction)
                    unanswered += (prediction.error or "").startswith(NOT_ANSWERED)
                    progress("call", printer.count, len(paths))
        except CallError as error:
            if client.answered_by is None:
                raise
            # What was answered is worth printing, and the rest is named to be sent again.
            print(f"Error: {error}", file=sys.stderr)
            for path in paths[printer.count :]:
                printer.add(path, Prediction(path, None, None, {}, f"{NOT_ANSWERED}: {error}"))
                unanswered += 1
        printer.finish(client.answered_by or model)
    if unanswered:
        remark(f"{unanswered:,} of {len(paths):,} images were not answered.", quiet=quiet)
    if unanswered or printer.all_refused:
        raise typer.Exit(1)


class _Remarks:
    """Says why there are pauses, each reason once, however many there are."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._said: set[str] = set()
        self._lock = threading.Lock()

    def __call__(self, trouble: str, seconds: float) -> None:
        with self._lock:
            if trouble not in self._said and len(self._said) < MOST_REMARKS:
                self._said.add(trouble)
                remark(f"{trouble} Trying again in {seconds:.1f} s.", quiet=self._quiet)
