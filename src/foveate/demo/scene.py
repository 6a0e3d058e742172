"""One picture: a garment in a texture, who wears it, where, and how much of it is seen."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from PIL import Image

from foveate.demo import people
from foveate.demo.backgrounds import Picture, boards, bricks, plaster, room, street, studio
from foveate.demo.camera import photographed
from foveate.demo.canvas import Canvas, Creases, View
from foveate.demo.garments import random_cut, random_pose, scarf, skirt, top
from foveate.demo.palette import CLOTH, DENIM, HAIR, SKIN, WOOD, Colour, pick
from foveate.demo.shapes import Shape
from foveate.demo.textures import TEXTURES, Texture

Materials: TypeAlias = dict[str, Colour | Texture]
Background: TypeAlias = Callable[[np.random.Generator, tuple[int, int]], Picture]


@dataclass(frozen=True, slots=True)
class Shot:
    """One way to photograph clothes.

    Attributes:
        share: of all images.
        places: backgrounds, each as likely as the others.
        tall: how many figure units the picture is high, from and to.
        middle: which height of the figure is in the middle of the picture, from and to.
        roll: how far the camera is turned, radians.
        racked: how often other clothes hang beside it.
        shadow: whether it casts a shadow on what is behind it.
    """

    share: float
    places: tuple[Background, ...]
    tall: tuple[float, float]
    middle: tuple[float, float]
    roll: float = 0.04
    racked: float = 0.0
    shadow: bool = False


ANYWHERE = (studio, studio, plaster, bricks, street, street, room)
SHOTS = {
    "catalogue": Shot(0.18, (studio,), (3.4, 5.0), (1.3, 1.5), shadow=True),
    "hanger": Shot(
        0.15, (plaster, bricks, room, studio), (3.6, 5.4), (1.1, 1.3), racked=0.5, shadow=True
    ),
    "dummy": Shot(0.08, (studio, plaster, bricks, room), (3.4, 5.0), (1.2, 1.4), racked=0.4),
    "table": Shot(0.1, (boards, boards, plaster), (3.2, 5.0), (1.3, 1.5), roll=0.45, shadow=True),
    "torso": Shot(0.15, ANYWHERE, (2.8, 3.8), (0.9, 1.5)),
    "half": Shot(0.15, ANYWHERE, (4.2, 5.5), (0.7, 1.4)),
    "full": Shot(0.11, ANYWHERE, (7.5, 10), (2.3, 2.9)),
    "detail": Shot(0.08, ANYWHERE, (1.4, 2.4), (0.9, 1.7)),
}


def draw_image(label: str, rng: np.random.Generator) -> Image.Image:
    """A picture of a garment in the texture `label`, about 320 × 400 pixels, RGB."""
    size = int(rng.integers(300, 341)), int(rng.integers(380, 421))
    names = list(SHOTS)
    name = names[rng.choice(len(names), p=[shot.share for shot in SHOTS.values()])]
    shot = SHOTS[name]
    angle = rng.uniform(0, 2 * math.pi)
    light = (math.cos(angle), 0.4 + 0.6 * abs(math.sin(angle)))
    canvas = Canvas(shot.places[rng.integers(len(shot.places))](rng, size), light)
    figure = _figure(rng, name)
    view = _view(rng, shot, size)
    materials = _materials(rng, label, view)
    if rng.random() < shot.racked:
        _rack(rng, canvas, view, materials)
    creases = _creases(rng, canvas, view)
    if shot.shadow:
        canvas.shadow(view, figure)
    for shape in figure:
        canvas.paint(view, shape, materials[shape.material], creases)
    return photographed(rng, canvas.rgb)


def _figure(rng: np.random.Generator, shot: str) -> list[Shape]:
    """The garment and whoever wears it, in painting order."""
    worn = shot in ("torso", "half", "full", "detail")
    pose, cut = random_pose(rng, worn=worn), random_cut(rng)
    if shot == "hanger":
        return people.hung(top(rng, cut, pose))
    if shot == "dummy":
        return people.worn_by_dummy(top(rng, cut, pose))
    if not worn:
        return people.laid(top(rng, cut, pose))
    if shot == "detail":
        # So near that anything else in front would leave nothing of the cloth.
        garment = top(rng, replace(cut, front="closed"), pose)
        return people.worn_by_person(rng, garment, pose, dressed=False, legs="trousers")
    kind = rng.choice(["top", "skirt", "scarf"], p=[0.82, 0.1, 0.08])
    legs = "skin" if kind == "skirt" or rng.random() < 0.3 else "trousers"
    if kind == "top":
        figure = people.worn_by_person(rng, top(rng, cut, pose), pose, dressed=False, legs=legs)
        if cut.front != "open" and rng.random() < 0.2:
            figure.extend(people.occluder(rng))
        return figure
    garment = skirt(rng) if kind == "skirt" else scarf(rng)
    figure = people.worn_by_person(rng, garment, pose, dressed=True, legs=legs)
    # The figure is moved so that what it is about comes where a top would be.
    return [shape.moved(0, -1.2) for shape in figure] if kind == "skirt" else figure


def _view(rng: np.random.Generator, shot: Shot, size: tuple[int, int]) -> View:
    """How much of the figure is seen, from where."""
    return View.of(
        focus=(0, rng.uniform(*shot.middle)),
        at=(size[0] * rng.uniform(0.42, 0.58), size[1] * rng.uniform(0.46, 0.54)),
        scale=size[1] / rng.uniform(*shot.tall),
        roll=rng.normal(0, shot.roll),
        yaw=rng.normal(0, 0.3),
        pitch=rng.normal(0, 0.15),
    )


def _materials(rng: np.random.Generator, label: str, view: View) -> Materials:
    """What everything is made of; the pattern repeats every 1.1 to 9 cm."""
    pitch = view.scale * math.exp(rng.uniform(math.log(0.052), math.log(0.42)))
    return {
        "cloth": TEXTURES[label](rng, max(3.5, pitch)),
        "plain": pick(rng, CLOTH),
        "trousers": pick(rng, DENIM),
        "jacket": pick(rng, CLOTH),
        "trim": pick(rng, CLOTH),
        "button": pick(rng, CLOTH),
        "inside": pick(rng, CLOTH) * np.float32(0.55),
        "skin": pick(rng, SKIN),
        "hair": pick(rng, HAIR),
        "eye": np.array([0.12, 0.09, 0.08], np.float32),
        "lips": np.array([0.66, 0.3, 0.3], np.float32),
        "nose": np.array([0.45, 0.28, 0.22], np.float32),
        "dummy": pick(rng, CLOTH[:5]),
        "wood": pick(rng, WOOD),
        "metal": np.array([0.55, 0.56, 0.58], np.float32),
        "leather": pick(rng, WOOD),
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
    """Other clothes on the same rail, edge on, one of three of them patterned in some way."""
    patterns = list(TEXTURES.values())
    creases = _creases(rng, canvas, view)
    for step in (-3, -2, -1, 1, 2, 3):
        if rng.random() < 0.3:
            continue
        garment = people.hung(top(rng, random_cut(rng), random_pose(rng, worn=False)))
        x, y = view.pixels(np.array([[0.8 * step, 1.2]]))[0]
        aside = View.of(focus=(0, 1.2), at=(x, y), scale=view.scale, yaw=math.copysign(1.2, step))
        cloth: Colour | Texture = pick(rng, CLOTH)
        if rng.random() < 0.35:
            pattern = patterns[rng.integers(len(patterns))]
            cloth = pattern(rng, max(4.0, view.scale * rng.uniform(0.08, 0.3)))
        for shape in garment:
            material = cloth if shape.material == "cloth" else materials[shape.material]
            canvas.paint(aside, shape, material, creases)
