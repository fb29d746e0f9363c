"""Two dates: the change label is the difference of the buildings, distractors leave it alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from n2m_core.errors import ParameterError
from n2m_core.scenes import (
    BARE,
    BUILT,
    DEMOLISHED,
    STORIES,
    ScenePair,
    SceneParams,
    Story,
    make_pair,
)
from n2m_core.scenes.compose import render
from n2m_core.scenes.pairs import MAX_SHIFT_PX, difference

PARAMS = SceneParams(44, 160, 0.5, "town")


@pytest.fixture(scope="module")
def pairs() -> dict[str, ScenePair]:
    return {story: make_pair(PARAMS, story) for story in STORIES}


def test_same_seed_gives_the_same_pair(pairs: dict[str, ScenePair]) -> None:
    again = make_pair(PARAMS, "mixed")
    first = pairs["mixed"]
    assert first.before.image.pixels.tobytes() == again.before.image.pixels.tobytes()
    assert first.after.image.pixels.tobytes() == again.after.image.pixels.tobytes()
    assert first.change.tobytes() == again.change.tobytes()


@pytest.mark.parametrize("story", STORIES)
def test_change_is_the_difference_of_the_instances(
    pairs: dict[str, ScenePair], story: Story
) -> None:
    pair = pairs[story]
    had, has = pair.before.instances > 0, pair.after.instances > 0
    np.testing.assert_array_equal(pair.change == BUILT, ~had & has)
    np.testing.assert_array_equal(pair.change == DEMOLISHED, had & ~has)
    np.testing.assert_array_equal(pair.change, difference(pair.before, pair.after))
    assert pair.before.image.transform == pair.after.image.transform
    assert pair.before.image.crs == pair.after.image.crs


def test_stories_do_what_they_say(pairs: dict[str, ScenePair]) -> None:
    counts = {
        story: [int((pair.change == kind).sum()) for kind in (BUILT, DEMOLISHED)]
        for story, pair in pairs.items()
    }
    assert counts["none"] == [0, 0]
    assert counts["growth"][0] > 0
    assert counts["growth"][1] == 0
    assert counts["clearance"][1] > counts["clearance"][0]
    assert min(counts["mixed"]) > 0
    assert pairs["none"].events == ()
    assert any("new" in event for event in pairs["growth"].events)


def test_fire_has_its_own_layer(pairs: dict[str, ScenePair]) -> None:
    fire = pairs["fire"]
    burnt = fire.damage == 1
    assert burnt.sum() > 0.5 * (fire.change == DEMOLISHED).sum() > 0
    assert (fire.before.instances[burnt] > 0).all()
    assert (fire.change[burnt] == DEMOLISHED).all()
    assert (fire.after.land_cover[fire.damage == 1] == BARE).mean() > 0.7
    assert not pairs["none"].damage.any()
    assert not pairs["growth"].damage.any()


def test_nothing_happened_but_the_pictures_differ(pairs: dict[str, ScenePair]) -> None:
    pair = pairs["none"]
    np.testing.assert_array_equal(pair.before.instances, pair.after.instances)
    gap = pair.before.image.pixels.astype(int) - pair.after.image.pixels.astype(int)
    assert np.abs(gap).mean() > 3.0


def test_misregistration_stays_below_a_pixel_and_out_of_the_truth(
    pairs: dict[str, ScenePair],
) -> None:
    assert pairs["none"].before.appearance.shift_px == (0.0, 0.0)
    shift = (0.8, -0.6)
    plan, look = pairs["none"].after.plan, pairs["none"].after.appearance
    still, moved = (
        render(plan, replace(look, shift_px=by, noise=0.0, jpeg_quality=100), PARAMS)
        for by in ((0.0, 0.0), shift)
    )
    np.testing.assert_array_equal(still.instances, moved.instances)
    assert (still.image.pixels != moved.image.pixels).mean() > 0.2
    for story in STORIES:
        assert np.abs(pairs[story].after.appearance.shift_px).max() <= MAX_SHIFT_PX


def test_unchanged_buildings_keep_their_number_on_both_dates(
    pairs: dict[str, ScenePair],
) -> None:
    pair = pairs["growth"]
    both = (pair.before.instances > 0) & (pair.after.instances > 0)
    assert both.any()
    assert (pair.before.instances[both] == pair.after.instances[both]).mean() > 0.97


def test_unknown_story_is_refused() -> None:
    with pytest.raises(ParameterError, match="'flood' is unknown"):
        make_pair(PARAMS, "flood")  # type: ignore[arg-type]
