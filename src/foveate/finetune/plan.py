"""Which images a step learns from, and how each of them is shown: drawn from the seed alone.

A step's plan is drawn for the whole batch from (seed, epoch, step), whatever device, process or
part of the batch then computes it. So a run that was killed goes on exactly as it would have, and
one process, two, or a batch cut in halves for want of memory learn from the same pictures.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Self

import numpy as np
from numpy.typing import NDArray

from foveate.settings import Augment, Orientation, Settings

_FOLD, _EPOCH, _STEP = 0, 1, 2  # streams of random numbers that must not meet


@dataclass(frozen=True, slots=True)
class Augmentation:
    """How far a view may be from the image, in ranges that are drawn from evenly.

    Attributes:
        area: share of the image's area that is shown, least and most.
        aspect: the widest aspect ratio of that part, before it is squeezed into a square.
        angle: degrees it is turned by, at most.
        colour: change of brightness, contrast and saturation, at most.
        erase: share of the views that have a rectangle of grey in them.
    """

    area: tuple[float, float]
    aspect: float
    angle: float
    colour: float
    erase: float


AUGMENTATIONS: dict[Augment, Augmentation | None] = {
    "none": None,
    "light": Augmentation((0.35, 1.0), 4 / 3, 0.0, 0.0, 0.0),
    "strong": Augmentation((0.2, 1.0), 4 / 3, 15.0, 0.3, 0.25),
}


@dataclass(frozen=True, slots=True)
class Views:
    """How n images are shown; every array is (n,) float32, lengths as shares of the image's side.

    Attributes:
        x: centre of the part that is shown, 0 left to 1 right.
        y: the same, 0 top to 1 bottom.
        width: of that part.
        height: of that part.
        mirrored: 1 or −1.
        turned: radians, anticlockwise.
        brightness: factor.
        contrast: factor.
        saturation: factor.
        erased: (n, 4) left, top, right, bottom of a grey rectangle in the view; empty at 0.
    """

    x: NDArray[np.float32]
    y: NDArray[np.float32]
    width: NDArray[np.float32]
    height: NDArray[np.float32]
    mirrored: NDArray[np.float32]
    turned: NDArray[np.float32]
    brightness: NDArray[np.float32]
    contrast: NDArray[np.float32]
    saturation: NDArray[np.float32]
    erased: NDArray[np.float32]

    @property
    def recoloured(self) -> bool:
        """Whether any colour changes."""
        factors = (self.brightness, self.contrast, self.saturation)
        return any((factor != 1).any() for factor in factors)

    def __getitem__(self, part: slice | NDArray[np.intp]) -> Self:
        return type(self)(*(getattr(self, field.name)[part] for field in fields(self)))


@dataclass(frozen=True, slots=True)
class BatchPlan:
    """One step of training.

    Attributes:
        rows: (n,) positions of the images.
        views: how each is shown; None: as the finished classifier will see it.
        partner: (n,) position in the batch of the image that is mixed in.
        share: (n,) float32, how much of the image itself stays; 1 where nothing is mixed in.
        seed: of what dropout leaves out, which is drawn later.
    """

    rows: NDArray[np.intp]
    views: Views | None
    partner: NDArray[np.intp]
    share: NDArray[np.float32]
    seed: int


def hold_out(
    codes: NDArray[np.intp], groups: NDArray[np.intp], share: float, seed: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Training rows to learn from, and to validate on.

    Args:
        codes: (n,) label of each row.
        groups: (n,) rows with equal values are copies of each other and stay together.
        share: of each label to validate on; at least one group, and never its only one.
        seed: of the draw.

    Returns:
        Two disjoint sorted arrays that cover all rows; the second is empty where share is 0.
    """
    rng = np.random.default_rng([seed, _FOLD])
    held = np.zeros(len(codes), bool)
    if share > 0:
        for code in np.unique(codes):
            # A group may hold several labels: it goes where the first of them sends it.
            mine = np.unique(groups[(codes == code) & ~held])
            count = min(max(round(share * len(mine)), 1), len(mine) - 1)
            held |= np.isin(groups, rng.permutation(mine)[:count])
    for code in np.unique(codes):
        if held[codes == code].all():  # its only group was sent by another label
            held[groups == groups[codes == code][0]] = False
    return np.flatnonzero(~held), np.flatnonzero(held)


def epoch_rows(codes: NDArray[np.intp], settings: Settings, epoch: int) -> NDArray[np.intp]:
    """The rows of an epoch, shuffled.

    Args:
        codes: (n,) label of each row.
        settings: with balanced labels, rare ones are repeated until each is as frequent as the
            most frequent; of more images than an epoch may have, each draws another part.
        epoch: counted from 0.
    """
    rng = np.random.default_rng([settings.seed, _EPOCH, epoch])
    rows = np.arange(len(codes))
    if settings.class_weight == "balanced":
        largest = np.bincount(codes).max()
        rows = np.concatenate(
            [_repeated(np.flatnonzero(codes == code), largest, rng) for code in np.unique(codes)]
        )
    rows = rng.permutation(rows)
    return rows[: settings.images_per_epoch or None]


def plan_batch(
    rows: NDArray[np.intp],
    augmentation: Augmentation | None,
    settings: Settings,
    *,
    epoch: int,
    step: int,
) -> BatchPlan:
    """Draw how the images of a step are shown.

    Args:
        rows: (n,) positions of the images.
        augmentation: None shows each as the finished classifier will see it.
        settings: orientation "any" also turns by quarters and mirrors top to bottom, for images
            that have no upper side; mixup is the parameter of the beta distribution of Zhang et
            al., "mixup: Beyond empirical risk minimization", ICLR 2018, and 0 mixes nothing.
        epoch: counted from 0.
        step: within the epoch, from 0.
    """
    rng = np.random.default_rng([settings.seed, _STEP, epoch, step])
    n = len(rows)
    views = _draw_views(rng, n, augmentation, settings.orientation) if augmentation else None
    partner, share = np.arange(n), np.ones(n, np.float32)
    if settings.mixup > 0:
        partner = rng.permutation(n)
        share[:] = rng.beta(settings.mixup, settings.mixup)
    return BatchPlan(rows, views, partner, share, int(rng.integers(2**31)))


def _repeated(rows: NDArray[np.intp], count: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """`count` rows: all of them as often as they fit, and a part drawn for the rest."""
    whole, rest = divmod(count, len(rows))
    return np.concatenate([np.tile(rows, whole), rng.permutation(rows)[:rest]])


def _draw_views(
    rng: np.random.Generator, n: int, augmentation: Augmentation, orientation: Orientation
) -> Views:
    def even(low: float, high: float) -> NDArray[np.float32]:
        return rng.uniform(low, high, n).astype(np.float32)

    area, aspect = even(*augmentation.area), even(-1, 1)
    ratio = np.exp(aspect * np.log(augmentation.aspect) / 2)
    width, height = (np.minimum(np.sqrt(area) * r, 1) for r in (ratio, 1 / ratio))
    angle = np.deg2rad(even(-augmentation.angle, augmentation.angle))
    mirrored = np.where(even(0, 1) < 0.5, -1, 1).astype(np.float32)
    if orientation == "any":
        angle = angle + np.float32(np.pi / 2) * rng.integers(0, 4, n).astype(np.float32)
    jitter = augmentation.colour
    return Views(
        x=width / 2 + even(0, 1) * (1 - width),
        y=height / 2 + even(0, 1) * (1 - height),
        width=width,
        height=height,
        mirrored=mirrored,
        turned=angle.astype(np.float32),
        brightness=even(1 - jitter, 1 + jitter),
        contrast=even(1 - jitter, 1 + jitter),
        saturation=even(1 - jitter, 1 + jitter),
        erased=_draw_rectangles(rng, n, augmentation.erase),
    )


def _draw_rectangles(rng: np.random.Generator, n: int, share: float) -> NDArray[np.float32]:
    """Rectangles (n, 4) of 2 to 20 % of the view for a share of the views, the rest empty.

    Zhong et al., "Random erasing data augmentation", AAAI 2020.
    """
    area, ratio = rng.uniform(0.02, 0.2, n), np.exp(rng.uniform(-0.7, 0.7, n))
    width, height = np.sqrt(area * ratio), np.sqrt(area / ratio)
    left, top = rng.uniform(0, 1 - width), rng.uniform(0, 1 - height)
    corners = np.stack([left, top, left + width, top + height], axis=1)
    return np.where(rng.uniform(0, 1, n)[:, None] < share, corners, 0).astype(np.float32)
