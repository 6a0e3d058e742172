"""Whoever or whatever wears a garment: people, a dressmaker's dummy, a hanger."""

from __future__ import annotations

import math

import numpy as np

from foveate.demo.garments import Garment, Pose
from foveate.demo.shapes import (
    Points,
    Shape,
    along,
    box,
    cloth,
    ellipse,
    limb,
    mirrored,
    point,
    points,
    shifted,
    smooth,
)


def worn_by_person(
    rng: np.random.Generator, garment: Garment, pose: Pose, *, dressed: bool, legs: str
) -> list[Shape]:
    """A person in the garment, in painting order.

    They get a plain top if they are to be `dressed`, the garment not being one; `legs` are made of
    "trousers" or "skin".
    """
    tilt, lift = rng.normal(0, 0.08), rng.uniform(-0.03, 0.05)
    long_hair = rng.random() < 0.55
    shapes = _hair_behind(rng, tilt) if long_hair else []
    shapes += [*_legs(legs), *garment.back]
    shapes.append(_skin(limb(point(0.3 * tilt, -0.6), point(0, 0.1), 0.24, 0.27)))
    chest = points((-0.6, 0.12), (0, -0.05), (0.6, 0.12), (0.5, 0.7), (0, 1.3), (-0.5, 0.7))
    shapes.append(_skin(smooth(chest)))
    if dressed:
        trunk = points((0.4, 0), (0.95, 0.2), (0.85, 0.95), (0.75, 1.75), (0.85, 2.4))
        shapes.append(cloth(smooth(mirrored(trunk)), material="plain"))
    shapes += garment.body
    for arm in pose.arms:
        shapes += _arm(arm)
    if dressed:
        shapes += [
            cloth(limb(arm[i], arm[i + 1], wide, wide - 0.03, cut=True), material="plain")
            for arm in pose.arms
            for i, wide in ((0, 0.27), (1, 0.23))
        ]
    shapes += [*garment.sleeves, *garment.front]
    return [*shapes, *_head(rng, tilt, lift), *_hair_before(rng, tilt, long_hair=long_hair)]


def worn_by_dummy(garment: Garment) -> list[Shape]:
    """The garment on a dressmaker's dummy."""
    neck = limb(point(0, -0.35), point(0, 0.3), 0.24, 0.3)
    stand = box(-0.05, 2, 0.05, 6)
    trunk = mirrored(
        points((0.3, 0), (0.9, 0.22), (0.8, 0.95), (0.7, 1.75), (0.84, 2.6), (0.6, 2.9))
    )
    stump = [Shape(shape, "dummy") for shape in (stand, smooth(trunk), neck)]
    cap = Shape(ellipse(0, -0.4, 0.24, 0.07), "wood", roundness=0.3)
    return [*stump, cap, *garment.body, *garment.sleeves, *garment.front]


def hung(garment: Garment) -> list[Shape]:
    """The garment on a hanger."""
    angle = np.linspace(-0.4, 4.0, 14)
    hook = np.column_stack([0.13 * np.cos(angle), -0.62 - 0.13 * np.sin(angle)])
    wire = np.concatenate(
        [
            points((-0.02, -0.1), (-0.02, -0.5)),
            hook,
            shifted(hook[::-1] * 0.84, 0, -0.1),
            points((0.02, -0.5), (0.02, -0.1)),
        ]
    )
    bar = points((0, -0.12), (0.97, 0.22), (0.97, 0.3), (0, 0.02))
    hanger = [
        Shape(wire, "metal", roundness=0.1),
        Shape(smooth(mirrored(bar), 1), "wood", roundness=0.3),
    ]
    return [*garment.back, *hanger, *garment.body, *garment.sleeves, *garment.front]


def laid(garment: Garment) -> list[Shape]:
    """The garment on its own, as on a table or cut out for a catalogue."""
    return [*garment.back, *garment.body, *garment.sleeves, *garment.front]


def occluder(rng: np.random.Generator) -> list[Shape]:
    """Something in front of the garment: an open jacket, a bag, leaves, somebody's arm."""
    kind = rng.choice(["jacket", "bag", "leaves", "arm"], p=[0.35, 0.3, 0.2, 0.15])
    side = int(rng.choice([-1, 1]))
    if kind == "jacket":
        gap = rng.uniform(0.25, 0.5)
        half = points(
            (0.4, -0.15),
            (1.12, 0.15),
            (1.25, 1.2),
            (1.2, 3.1),
            (gap + 0.2, 3.15),
            (gap, 1.4),
            (0.36, 0.2),
        )
        return [cloth(smooth(half * (way, 1)), material="jacket") for way in (-1, 1)]
    if kind == "bag":
        strap = limb(point(0.55 * -side, 0), point(0.95 * side, 2.2), 0.07, 0.07)
        bag = smooth(shifted(box(-0.65, 2.0, 0.65, 3.0), 0.95 * side))
        return [Shape(strap, "leather"), Shape(bag, "leather")]
    if kind == "arm":
        start = point(2.4 * side, rng.uniform(0.5, 2))
        end = point(rng.uniform(0, 0.5) * side, rng.uniform(0.8, 2))
        return [
            _skin(limb(start, end, 0.24, 0.15)),
            cloth(limb(start, along(start, end, 0.6), 0.32, 0.28), material="jacket"),
        ]
    stem = point(side * rng.uniform(0.7, 1.5), 3.6)
    leaves = []
    for _ in range(7):
        tip = shifted(stem, rng.uniform(-0.8, 0.8), -rng.uniform(0.4, 2.4))
        middle, length = (stem + tip) / 2, np.hypot(*(tip - stem)) / 2
        tilt = math.atan2(tip[1] - stem[1], tip[0] - stem[0])
        leaves.append(Shape(ellipse(middle[0], middle[1], length, 0.16, tilt), "leaf", soft=0.12))
    return leaves


def _legs(material: str) -> list[Shape]:
    """Both legs and, over them, the hips in trousers or shorts."""
    shapes = []
    for side in (-1, 1):
        hip, foot = point(0.42 * side, 2.7), point(0.48 * side, 7.2)
        shapes.append(cloth(limb(hip, foot, 0.46, 0.2, cut=True), material=material))
        shorts = limb(hip, along(hip, foot, 0.2), 0.5, 0.48, cut=True)
        shapes.append(cloth(shorts, material="trousers"))
    hips = mirrored(points((0.74, 1.8), (0.88, 2.5), (0.86, 3.0)))
    return [*shapes, cloth(smooth(hips), material="trousers")]


def _arm(arm: Points) -> list[Shape]:
    """A bare arm and its hand, from shoulder, elbow and wrist, (3, 2)."""
    shoulder, elbow, wrist = arm
    fingers = along(elbow, wrist, 1.22)
    return [
        _skin(limb(shoulder, elbow, 0.24, 0.19)),
        _skin(limb(elbow, wrist, 0.19, 0.14)),
        _skin(limb(wrist, fingers, 0.15, 0.12)),
    ]


def _skin(outline: Points) -> Shape:
    return Shape(outline, "skin", roundness=0.5, soft=0.18)


def _head(rng: np.random.Generator, tilt: float, lift: float) -> list[Shape]:
    x, y = 0.6 * tilt, -0.95 + lift
    look = rng.uniform(-0.08, 0.08)
    cheek = points((0, -0.58), (0.34, -0.35), (0.36, 0.1), (0.14, 0.54))
    face = [_skin(shifted(smooth(mirrored(cheek)), x, y))]
    for side in (-1, 1):
        eye = x + look + 0.15 * side
        face.append(Shape(ellipse(eye, y - 0.02, 0.05, 0.028), "eye", roundness=0))
        face.append(Shape(ellipse(eye, y - 0.12, 0.085, 0.016, 0.1 * side), "eye", roundness=0))
    face.append(Shape(ellipse(x + look, y + 0.13, 0.04, 0.028), "nose", roundness=0))
    face.append(Shape(ellipse(x + look, y + 0.29, 0.1, 0.032), "lips", roundness=0))
    return face


def _hair_behind(rng: np.random.Generator, tilt: float) -> list[Shape]:
    fall = rng.uniform(0.1, 1.1)
    right = points((0.3, -1.62), (0.52, -1.2), (0.55, -0.5), (0.62, fall), (0.3, fall + 0.15))
    return [Shape(shifted(smooth(mirrored(right)), 0.5 * tilt), "hair", roundness=0.5, soft=0.25)]


def _hair_before(rng: np.random.Generator, tilt: float, *, long_hair: bool) -> list[Shape]:
    x, part = 0.6 * tilt, rng.uniform(-0.2, 0.2)
    cap = points(
        (-0.42, -0.9),
        (-0.44, -1.3),
        (-0.2, -1.64),
        (0.2, -1.64),
        (0.44, -1.3),
        (0.42, -0.9),
        (0.33, -1.18),
        (part, -1.32),
        (-0.33, -1.18),
    )
    shapes = [Shape(shifted(smooth(cap), x), "hair", roundness=0.4, soft=0.2)]
    if long_hair and rng.random() < 0.6:
        for side in (-1, 1):
            fall = rng.uniform(0.0, 1.3)
            lock = points(
                (0.3, -1.2),
                (0.46, -1.1),
                (0.56, -0.3),
                (0.6, fall),
                (0.4, fall + 0.25),
                (0.36, -0.2),
            )
            shapes.append(
                Shape(shifted(smooth(lock * (side, 1)), x), "hair", roundness=0.5, soft=0.15)
            )
    return shapes
