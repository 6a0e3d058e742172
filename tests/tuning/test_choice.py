from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from foveate.tuning.choice import choose, pareto_front, simplest_first, table_rows

SHUFFLED = np.random.default_rng(0).permutation(200)


def test_the_default_stays_where_the_difference_is_noise(tried) -> None:
    default, better = tried(180, rate=50), tried(182, rate=20, resolution=448, order=SHUFFLED)
    assert choose([default, better]) is default


def test_a_clear_difference_decides(tried) -> None:
    default, better = tried(150, rate=50), tried(190, rate=20, resolution=448)
    assert choose([default, better]) is better


def test_a_small_difference_that_all_images_agree_on_decides(tried) -> None:
    """The better one is right wherever the other is: 2 images of 200 are no noise then."""
    default, better = tried(180, rate=50), tried(182, rate=20, resolution=448)
    assert choose([default, better]) is better
    elsewhere = tried(182, rate=20, resolution=448, order=SHUFFLED)
    assert choose([default, elsewhere]) is default


def test_of_equals_the_faster_then_the_one_tried_first(tried) -> None:
    default = tried(100, rate=90)
    slow, fast, also = (tried(190, rate=rate) for rate in (10, 40, 40))
    assert choose([default, slow, fast, also]) is fast
    assert simplest_first([default, slow, fast, also]) == [default, fast, also, slow]


def test_only_those_judged_on_all_images_are_taken(tried) -> None:
    default, dropped = tried(150), tried(200, state="dropped")
    assert choose([default, dropped]) is default
    assert choose([dropped, tried(150, state="unfinished")]) is None
    assert choose([]) is None


POINTS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=20)


@given(POINTS)
def test_the_front_is_what_nothing_beats(points: list[tuple[int, int]]) -> None:
    front = pareto_front(points)
    for one, on_front in zip(points, front, strict=True):
        beaten = any(other[0] >= one[0] and other[1] >= one[1] and other != one for other in points)
        assert on_front is not beaten


@given(POINTS)
def test_every_point_off_the_front_is_beaten_by_one_on_it(points: list[tuple[int, int]]) -> None:
    front = pareto_front(points)
    on = [point for point, holds in zip(points, front, strict=True) if holds]
    assert max(points) in on
    assert max(points, key=lambda point: point[::-1]) in on
    for point in points:
        assert any(other[0] >= point[0] and other[1] >= point[1] for other in on)


def test_the_table_says_what_became_of_each(tried) -> None:
    default, slow = tried(150, rate=90), tried(190, rate=20, resolution=448)
    beaten, dropped = tried(140, rate=10, resolution=896), tried(100, state="dropped", backbone="c")
    rows = table_rows([default, beaten, dropped, slow], slow)
    assert [row.tried for row in rows] == [slow, default, beaten, dropped]
    assert [row.marks for row in rows] == [
        "chosen, best trade-off",
        "best trade-off",
        "",
        "dropped after 25 % of the images",
    ]
