"""Aerial imagery: rasters become labelled tiles, predictions on them a map, two maps a change.

- `grid`, `address`, `raster`, `header`, `filesystem`: where a tile lies, how its pixels are read;
- `legend`, `landcover`: what a tile is called;
- `index`, `georeferenced`: tiles as a table, and predictions on them;
- `cutting/`: rasters → tiles; `mapping/`: predictions → map; `change/`: two years → what changed.
"""
