"""One picture: a garment in a texture, who wears it, where, in which light, through which lens."""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
from PIL import Image, ImageFilter

from foveate.demo import backgrounds, people
from foveate.demo.canvas import Canvas, Creases, View
from foveate.demo.garments import random_cut, random_pose, scarf, skirt, top
from foveate.demo.palette import CLOTH, DENIM, HAIR, SKIN, WOOD, Colour, pick
from foveate.demo.shapes import Shape
from foveate.demo.textures import TEXTURES, Texture, noise, plain

Materials: TypeAlias = dict[str, Colour | Texture]


def draw_image(label: str, rng: np.random.Generator) -> Image.Image:
    """A picture of a garment in the texture `label`, about 320 × 400 pixels, RGB."""
    size = int(rng.integers(300, 341)), int(rng.integers(380, 421))
    shot = rng.choice(
        ["catalogue", "hanger", "dummy", "table", "person", "detail"],
        p=[0.2, 0.14, 0.08, 0.1, 0.38, 0.1],
    )
    angle = rng.uniform(0, 2 * math.pi)
    canvas = Canvas(
        _background(rng, shot, size), (math.cos(angle), 0.4 + 0.6 * abs(math.sin(angle)))
    )
    figure = _figure(rng, shot)
    view = _view(rng, shot, size)
    materials = _materials(rng, label, view)
    if shot in ("hanger", "dummy") and rng.random() < 0.5:
        _rack(rng, canvas, view, materials)
    creases = _creases(rng, canvas, view)
    if shot in ("catalogue", "table", "hanger"):
        for shape in figure:
            canvas.shadow(view, shape, offset=4, blur=5, depth=0.18)
    for shape in figure:
        canvas.paint(view, shape, materials[shape.material], creases)
    return _photographed(rng, canvas.rgb)


def _background(rng: np.random.Generator, shot: str, size: tuple[int, int]) -> backgrounds.Picture:
    places = {
        "catalogue": [backgrounds.studio],
        "hanger": [backgrounds.wall, backgrounds.room, backgrounds.studio],
        "dummy": [backgrounds.studio, backgrounds.wall, backgrounds.room],
        "table": [backgrounds.boards, backgrounds.boards, backgrounds.wall],
    }.get(
        shot,
        [
            backgrounds.studio,
            backgrounds.studio,
            backgrounds.wall,
            backgrounds.street,
            backgrounds.street,
            backgrounds.room,
        ],
    )
    return places[rng.integers(len(places))](rng, size)


def _figure(rng: np.random.Generator, shot: str) -> list[Shape]:
    worn = shot in ("person", "detail")
    pose = random_pose(rng, worn=worn)
    if not worn:
        garment = top(rng, random_cut(rng), pose)
        if shot == "hanger":
            return people.hung(garment)
        return people.worn_by_dummy(rng, garment) if shot == "dummy" else people.laid(garment)
    kind = rng.choice(["top", "skirt", "scarf"], p=[0.82, 0.1, 0.08])
    legs = "skin" if kind == "skirt" else str(rng.choice(["trousers", "skin"], p=[0.7, 0.3]))
    garment = {"skirt": skirt, "scarf": scarf}.get(
        kind, lambda rng: top(rng, random_cut(rng), pose)
    )(rng)
    figure = people.worn_by_person(rng, garment, pose, top=kind != "top", legs=legs)
    if rng.random() < 0.16:
        figure.extend(people.occluder(rng))
    return figure


def _view(rng: np.random.Generator, shot: str, size: tuple[int, int]) -> View:
    """How much of the figure is seen, from where."""
    tall, middle = {
        "catalogue": (rng.uniform(3.4, 5.0), 1.4),
        "hanger": (rng.uniform(3.6, 5.6), 1.2),
        "dummy": (rng.uniform(3.4, 5.0), 1.3),
        "table": (rng.uniform(3.2, 5.0), 1.4),
        "detail": (rng.uniform(1.3, 2.4), rng.uniform(0.8, 1.8)),
    }.get(shot) or _framing(rng)
    at = (size[0] * rng.uniform(0.42, 0.58), size[1] * rng.uniform(0.46, 0.54))
    turn = 0.45 if shot == "table" else 0.04
    return View.of(
        focus=(0, middle),
        at=at,
        scale=size[1] / tall,
        roll=rng.normal(0, turn),
        yaw=rng.normal(0, 0.3),
        pitch=rng.normal(0, 0.15),
    )


def _framing(rng: np.random.Generator) -> tuple[float, float]:
    framing = rng.choice(["torso", "half", "full"], p=[0.4, 0.38, 0.22])
    if framing == "torso":
        return rng.uniform(2.8, 3.8), rng.uniform(0.9, 1.5)
    if framing == "half":
        return rng.uniform(4.2, 5.5), rng.uniform(0.7, 1.4)
    return rng.uniform(7.5, 10), rng.uniform(2.3, 2.9)


def _materials(rng: np.random.Generator, label: str, view: View) -> Materials:
    pitch = view.scale * math.exp(rng.uniform(math.log(0.06), math.log(0.42)))
    if label == "leopard":
        pitch *= 1.2
    return {
        "cloth": TEXTURES[label](rng, max(3.5, pitch)),
        "plain": plain(rng, pitch),
        "trousers": plain(rng, pitch) if rng.random() < 0.3 else pick(rng, DENIM),
        "jacket": plain(rng, pitch),
        "trim": pick(rng, CLOTH),
        "button": pick(rng, CLOTH),
        "inside": pick(rng, CLOTH) * np.float32(0.55),
        "skin": pick(rng, SKIN),
        "hair": pick(rng, HAIR),
        "eye": np.array([0.12, 0.09, 0.08], np.float32),
        "lips": np.array([0.66, 0.3, 0.3], np.float32),
        "shade": np.array([0.45, 0.28, 0.22], np.float32),
        "dummy": pick(rng, CLOTH[:5]),
        "wood": pick(rng, WOOD),
        "metal": np.array([0.55, 0.56, 0.58], np.float32),
        "leather": pick(rng, np.concatenate([WOOD, CLOTH[5:8]])),
        "leaf": np.array([0.25, 0.4, 0.2], np.float32) * np.float32(rng.uniform(0.6, 1.3)),
    }


def _creases(rng: np.random.Generator, canvas: Canvas, view: View) -> Creases:
    return Creases.of(
        rng,
        canvas.size,
        count=int(rng.integers(8, 26)),
        depth=float(rng.uniform(0.15, 1.0)),
        width=float(view.scale * rng.uniform(0.07, 0.16)),
        light=canvas.light,
    )


def _rack(rng: np.random.Generator, canvas: Canvas, view: View, materials: Materials) -> None:
    """Other clothes on the same rail, edge on, some of them patterned."""
    others = list(TEXTURES.values())
    for step in (-3, -2, -1, 1, 2, 3):
        if rng.random() < 0.3:
            continue
        garment = people.hung(top(rng, random_cut(rng), random_pose(rng, worn=False)))
        x, y = view.pixels(np.array([[0.8 * step, 1.2]]))[0]
        aside = View.of(focus=(0, 1.2), at=(x, y), scale=view.scale, yaw=1.2 * np.sign(step))
        draw = others[rng.integers(len(others))] if rng.random() < 0.4 else plain
        cloth = draw(rng, max(4.0, view.scale * rng.uniform(0.08, 0.3)))
        creases = _creases(rng, canvas, view)
        for shape in garment:
            material = cloth if shape.material == "cloth" else materials[shape.material]
            canvas.paint(aside, shape, material, creases)


def _photographed(rng: np.random.Generator, rgb: backgrounds.Picture) -> Image.Image:
    """Light, exposure, lens and sensor."""
    height, width = rgb.shape[:2]
    dim = rng.random() < 0.2
    exposure = rng.uniform(0.4, 0.7) if dim else rng.uniform(0.8, 1.12)
    warmth = rng.normal(0, 0.09 if dim else 0.04)
    lamp = 1 + rng.uniform(0.03, 0.18) * noise(rng, height, width, 2)
    rgb = rgb * (exposure * lamp)[..., None] * np.array([1 + warmth, 1, 1 - warmth], np.float32)
    grey = np.float32(rng.uniform(0.3, 0.6))
    rgb = grey + (rgb - grey) * np.float32(rng.uniform(0.75, 1.1))
    grain = rng.uniform(0.02, 0.06) if dim else rng.uniform(0.002, 0.015)
    image = Image.fromarray((np.clip(rgb, 0, 1) * 255).astype(np.uint8))
    softness = rng.uniform(0.8, 2.2) if rng.random() < 0.22 else rng.uniform(0.2, 0.7)
    image = image.filter(ImageFilter.GaussianBlur(softness))
    sensor = rng.standard_normal((height, width, 1), np.float32) * np.float32(255 * grain)
    return Image.fromarray(np.clip(np.asarray(image) + sensor, 0, 255).astype(np.uint8))
