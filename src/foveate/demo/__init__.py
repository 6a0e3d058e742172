"""The demonstration's images: drawn, so that there is nothing to download.

draw       which images there are, and their files
scene      one image: shot, view, materials, camera
people     who wears a garment, and what hides it
garments   tops, dresses, skirts, scarves
shapes     outlines, limbs, patches of cloth
canvas     painting shapes: view, folds, shading
textures   dots, leopard spots, stripes
"""

from __future__ import annotations

from foveate.demo.draw import COUNT, draw_garments

__all__ = ["COUNT", "draw_garments"]
