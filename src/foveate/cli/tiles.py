"""`foveate tiles`: from aerial imagery to tiles, to a map, to what changed."""

from __future__ import annotations

import typer

from foveate.cli import tiles_change, tiles_cut, tiles_map

app = typer.Typer(help="Aerial imagery: cut tiles, map predictions, find changes.")
app.command("cut")(tiles_cut.cut)
app.command("map")(tiles_map.map_predictions)
app.command("change")(tiles_change.change)
