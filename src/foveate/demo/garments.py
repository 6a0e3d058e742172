"""Tops, dresses, skirts and scarves, cut from shapes to fit a pose."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from foveate.demo.shapes import (
    Points,
    Shape,
    along,
    box,
    cloth,
    ellipse,
    heading,
    limb,
    mirrored,
    point,
    points,
    smooth,
)


@dataclass(frozen=True, slots=True)
class Pose:
    """Where the arms are: shoulder, elbow and wrist of the right and the left one, each (3, 2)."""

    arms: tuple[Points, Points]


@dataclass(frozen=True, slots=True)
class Cut:
    """How a top or dress is cut.

    Attributes:
        hem: where it ends, in units below the neck.
        ease: how much wider than the body it is.
        flare: how much wider still at the hem.
        neck: "crew", "v", "boat", "scoop" or "collar".
        sleeve: share of the arm that it covers.
        front: "closed", "buttons" or "open" over something plain.
    """

    hem: float
    ease: float
    flare: float
    neck: str
    sleeve: float
    front: str = "closed"


@dataclass(frozen=True, slots=True)
class Garment:
    """A garment in the order in which it is painted: back, body, sleeves, front."""

    back: list[Shape] = field(default_factory=list)
    body: list[Shape] = field(default_factory=list)
    sleeves: list[Shape] = field(default_factory=list)
    front: list[Shape] = field(default_factory=list)


NECK_DEPTH = {"crew": 0.28, "v": 0.95, "boat": 0.14, "scoop": 0.62, "collar": 0.42}


def random_pose(rng: np.random.Generator, *, worn: bool) -> Pose:
    """Arms hanging, on the hip or in front of the body if worn; spread or hanging if not."""
    arms = []
    for side in (1, -1):
        shoulder = point(0.74, 0.48)
        way = rng.choice(["down", "hip", "front"], p=[0.6, 0.24, 0.16]) if worn else "spread"
        if way == "down":
            out, bend = rng.uniform(0.06, 0.3), rng.uniform(-0.15, 0.1)
        elif way == "hip":
            out, bend = rng.uniform(0.5, 0.8), rng.uniform(-1.5, -1.2)
        elif way == "front":
            out, bend = rng.uniform(0.05, 0.2), rng.uniform(-2.0, -1.4)
        else:
            out, bend = rng.uniform(0.12, 0.75), rng.uniform(-0.15, 0.1)
        elbow = shoulder + 1.35 * point(np.sin(out), np.cos(out))
        wrist = elbow + 1.2 * point(np.sin(out + bend), np.cos(out + bend))
        arms.append(np.stack([shoulder, elbow, wrist]) * (side, 1))
    return Pose((arms[0], arms[1]))


def random_cut(rng: np.random.Generator) -> Cut:
    """One of the usual cuts, each varied."""
    kind = rng.choice(
        ["tee", "sweater", "shirt", "tank", "dress", "open", "blouse"],
        p=[0.24, 0.16, 0.18, 0.08, 0.14, 0.08, 0.12],
    )
    necks = ["crew", "v", "boat", "scoop"]
    neck = str(rng.choice(necks, p=[0.5, 0.2, 0.15, 0.15]))
    if kind == "tee":
        return Cut(rng.uniform(2.3, 2.9), rng.uniform(0, 0.2), 0.05, neck, rng.uniform(0.2, 0.4))
    if kind == "sweater":
        return Cut(rng.uniform(2.2, 2.9), rng.uniform(0.1, 0.3), -0.03, neck, 1.0)
    if kind == "shirt":
        sleeve = float(rng.choice([0.35, 0.8, 1.0]))
        return Cut(rng.uniform(2.5, 3.0), rng.uniform(0, 0.2), 0.05, "collar", sleeve, "buttons")
    if kind == "tank":
        return Cut(rng.uniform(2.2, 2.8), rng.uniform(-0.05, 0.1), 0.05, "scoop", 0.0)
    if kind == "dress":
        sleeve = float(rng.choice([0.0, 0.25, 0.9]))
        return Cut(rng.uniform(3.6, 5.0), 0.02, rng.uniform(0.1, 1.0), neck, sleeve)
    if kind == "open":
        sleeve = float(rng.choice([0.0, 1.0]))
        return Cut(rng.uniform(2.3, 3.4), rng.uniform(0.1, 0.3), 0.1, "v", sleeve, "open")
    return Cut(rng.uniform(2.2, 2.8), rng.uniform(0.1, 0.3), 0.2, neck, rng.uniform(0.5, 1.0))


def top(rng: np.random.Generator, cut: Cut, pose: Pose) -> Garment:
    """A top or a dress."""
    depth, ease = NECK_DEPTH[cut.neck], cut.ease
    neck = 0.5 if cut.neck in ("boat", "scoop") else 0.36
    waist = 0.74 + ease + rng.uniform(-0.03, 0.03)
    hip = 0.88 + ease
    right = [(neck, 0.02), (0.96, 0.2), (0.93 + 0.3 * ease, 0.5)]
    right.extend([(0.86 + ease, 0.95), (waist, 1.75)])
    if cut.hem > 2.7:
        right.append((hip + 0.25 * cut.flare, 2.6))
    right.extend([(hip + cut.flare, cut.hem - 0.15), (hip + cut.flare, cut.hem)])
    right.append((0.8 * hip, cut.hem + rng.uniform(0, 0.08)))
    hollow = [(0.0, depth)] if cut.neck == "v" else [(-0.6 * neck, depth), (0.6 * neck, depth)]
    outline = np.concatenate([mirrored(points(*right)), points(*hollow)])
    back = smooth(mirrored(points((0, 0.1), (neck, -0.02), (neck, 0.5), (0, 1.1))))
    garment = Garment(back=[Shape(back, "inside", roundness=0.2)])
    garment.body.append(cloth(smooth(outline)))
    for shoulder, elbow, wrist in pose.arms:
        garment.sleeves.extend(_sleeve(shoulder, elbow, wrist, cut))
    if cut.front == "open":
        gap = rng.uniform(0.1, 0.45)
        shirt = mirrored(points((neck, 0), (gap, 1.2), (gap + 0.1, cut.hem + 0.1)))
        garment.body.append(cloth(shirt, material="plain"))
    if cut.front == "buttons":
        garment.front.extend(_placket(depth, cut.hem))
    if cut.neck == "collar":
        garment.front.extend(_collar(neck, depth))
    if cut.front == "closed" and rng.random() < 0.2:
        garment.front.extend(_extra(rng))
    return garment


def skirt(rng: np.random.Generator) -> Garment:
    """A skirt, from the waist down; what is worn above it is somebody else's."""
    hem, flare = rng.uniform(3.7, 5.2), rng.uniform(0.0, 0.9)
    right = points((0.74, 1.7), (0.98, 2.5), (0.98 + flare, hem), (0.5, hem + 0.08))
    band = box(-0.76, 1.62, 0.76, 1.82)
    return Garment(body=[cloth(smooth(mirrored(right))), cloth(smooth(band), material="trim")])


def scarf(rng: np.random.Generator) -> Garment:
    """A scarf: a loop round the neck and two ends that hang down."""
    ends = []
    for side in (-1, 1):
        start = point(0.28 * side, 0.1)
        end = point(side * rng.uniform(0.2, 0.6), rng.uniform(1.5, 3.0))
        width = rng.uniform(0.24, 0.34)
        aside = point(width, 0)
        strip = np.stack([start - aside, start + aside, end + aside, end - aside])
        ends.append(cloth(strip, origin=tuple(start), grain=heading(start, end)))
    loop = cloth(smooth(points((-0.62, 0.2), (-0.5, -0.28), (0.5, -0.28), (0.62, 0.2), (0, 0.62))))
    return Garment(back=[cloth(ellipse(0, -0.2, 0.5, 0.3))], front=[*ends, loop])


def _sleeve(shoulder: Points, elbow: Points, wrist: Points, cut: Cut) -> list[Shape]:
    """A sleeve, in two pieces if it passes the elbow."""
    if cut.sleeve == 0:
        return []
    loose = 0.27 + 0.4 * cut.ease
    upper_end = along(shoulder, elbow, min(1.0, 2 * cut.sleeve))
    upper = cloth(
        limb(shoulder, upper_end, loose, loose - 0.03, cut=True),
        origin=(float(shoulder[0]), float(shoulder[1])),
        grain=heading(shoulder, elbow),
    )
    if cut.sleeve <= 0.5:
        return [upper]
    lower = cloth(
        limb(elbow, along(elbow, wrist, 2 * cut.sleeve - 1), loose - 0.03, loose - 0.09, cut=True),
        origin=(float(elbow[0]), float(elbow[1])),
        grain=heading(elbow, wrist),
    )
    return [upper, lower]


def _placket(depth: float, hem: float) -> list[Shape]:
    strip = cloth(box(-0.09, depth, 0.09, hem + 0.03), origin=(0.05, 0.1))
    buttons = [
        Shape(ellipse(0, y, 0.035, 0.035), "button", roundness=0)
        for y in np.arange(depth + 0.15, hem, 0.38)
    ]
    return [strip, *buttons]


def _collar(neck: float, depth: float) -> list[Shape]:
    return [
        cloth(
            points((0.02, depth), (neck + 0.02, -0.12), (neck + 0.2, 0.1), (0.38, depth + 0.22))
            * (side, 1),
            grain=0.8 * side,
        )
        for side in (-1, 1)
    ]


def _extra(rng: np.random.Generator) -> list[Shape]:
    """A breast pocket, whose cloth never quite meets the pattern around it, or a badge."""
    left = rng.uniform(0.15, 0.35)
    if rng.random() < 0.6:
        pocket = points(
            (left, 0.8), (left + 0.42, 0.8), (left + 0.42, 1.2), (left + 0.21, 1.3), (left, 1.2)
        )
        return [cloth(pocket, origin=(rng.uniform(0, 1), rng.uniform(0, 1)))]
    return [Shape(smooth(box(-0.35, 0.75, 0.35, 1.25)), "trim", roundness=0.15)]
