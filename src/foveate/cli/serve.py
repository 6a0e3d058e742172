"""`foveate serve`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from foveate.cli import options
from foveate.cli.shared import ending_on_sigterm, need_extra


def serve(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL…",
            help="classifiers, as PATH or NAME=PATH; the first one answers where none is named",
            show_default=False,
        ),
    ],
    host: Annotated[
        str | None,
        typer.Option(help="address to listen on [default: 127.0.0.1]", show_default=False),
    ] = None,
    port: Annotated[
        int | None, typer.Option(help="0 takes a free one [default: 8000]", show_default=False)
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            help="processes that decode and infer [default: one per core]", show_default=False
        ),
    ] = None,
    queue: Annotated[
        int | None, typer.Option(help="images that may wait [default: 64]", show_default=False)
    ] = None,
    max_wait: Annotated[
        float | None,
        typer.Option(help="seconds that an image may wait [default: 1]", show_default=False),
    ] = None,
    batch: Annotated[
        int | None,
        typer.Option(
            help="images a worker takes at once, at most [default: 4]", show_default=False
        ),
    ] = None,
    max_images: Annotated[
        int | None,
        typer.Option(help="images a request may bring [default: 32]", show_default=False),
    ] = None,
    max_body: Annotated[
        int | None, typer.Option(help="MiB a request may bring [default: 32]", show_default=False)
    ] = None,
    max_pixels: Annotated[
        int | None,
        typer.Option(help="megapixels an image may have [default: 50]", show_default=False),
    ] = None,
    max_connections: Annotated[
        int | None, typer.Option(help="connections at once [default: 2000]", show_default=False)
    ] = None,
    max_client_connections: Annotated[
        int | None,
        typer.Option(help="of them from one address [default: 9 in 10]", show_default=False),
    ] = None,
    probe_port: Annotated[
        int | None,
        typer.Option(
            help="health and metrics on a port of their own, which no overload reaches",
            show_default=False,
        ),
    ] = None,
    deadline: Annotated[
        float | None,
        typer.Option(help="seconds from request to answer [default: 10]", show_default=False),
    ] = None,
    grace: Annotated[
        float | None,
        typer.Option(help="seconds to finish what was taken [default: 20]", show_default=False),
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(
            help="bearer tokens, one a line, or NAME:SCOPES:TOKEN; or set FOVEATE_TOKENS",
            show_default=False,
        ),
    ] = None,
    cors_origin: Annotated[
        list[str] | None,
        typer.Option(
            help="whose pages may ask from a browser, as https://shop.example; * is all; "
            "may be given several times [default: none]",
            show_default=False,
        ),
    ] = None,
    trusted_proxy: Annotated[
        list[str] | None,
        typer.Option(
            help="proxy whose X-Forwarded-For is believed, as 10.0.0.0/8; may be given several "
            "times [default: none]",
            show_default=False,
        ),
    ] = None,
    tls_cert: Annotated[
        Path | None, typer.Option(help="certificate chain, PEM", show_default=False)
    ] = None,
    tls_key: Annotated[
        Path | None, typer.Option(help="its private key, PEM", show_default=False)
    ] = None,
    log_predictions: Annotated[
        Path | None,
        typer.Option(help="JSON lines to add each prediction to", show_default=False),
    ] = None,
    quiet: options.Quiet = False,
    _debug: options.Debug = False,
) -> None:
    """Answer requests over HTTP with what classifiers say about images."""
    need_extra(
        "serve",
        "To serve",
        "uvicorn",
        "httptools",
        "fastapi",
        "python_multipart",
        "pybase64",
        "prometheus_client",
    )
    with ending_on_sigterm() as asked:
        from foveate.serve.models import parse_models, read_served
        from foveate.serve.operations.logs import json_logs
        from foveate.serve.server import run_server
        from foveate.serve.settings import make_server_settings

        settings = make_server_settings(
            {
                "host": host,
                "port": port,
                "workers": workers,
                "queue": queue,
                "max_wait": max_wait,
                "batch": batch,
                "max_images": max_images,
                "max_body": max_body,
                "max_pixels": max_pixels,
                "max_connections": max_connections,
                "max_client_connections": max_client_connections,
                "probe_port": probe_port,
                "deadline": deadline,
                "grace": grace,
                "token_file": token_file,
                "cors_origin": cors_origin or None,
                "trusted_proxy": trusted_proxy or None,
                "tls_cert": tls_cert,
                "tls_key": tls_key,
                "log_predictions": log_predictions,
            }
        )
        served = [read_served(name, path) for name, path in parse_models(models).items()]
        names = ", ".join(model.name for model in served)
        with json_logs(quiet=quiet) as writer:
            if asked.is_set():
                raise typer.Exit
            run_server(
                served,
                settings,
                lambda url: print(f"Serving {names} on {url}", flush=True),
                writer,
            )
