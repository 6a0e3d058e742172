"""Aerial imagery: rasters cut into tiles, tiles labelled by land cover, maps, and what changed."""
