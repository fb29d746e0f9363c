"""Two dates of one place: what is built, enlarged, demolished or burnt, and what only looks so.

Distractors that leave the label alone: sun and shadows, season, crops, vehicles, felled and grown
trees, cloud shadow, radiometry, a sub-pixel misregistration, seldom a repainted roof.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from n2m_core.errors import ParameterError
from n2m_core.scenes.compose import draw_appearance, render
from n2m_core.scenes.layout import make_plan
from n2m_core.scenes.palette import ROOFS
from n2m_core.scenes.scene import (
    BUILT,
    DEMOLISHED,
    UNCHANGED,
    Appearance,
    Building,
    Labels,
    Patch,
    Plan,
    Scene,
    ScenePair,
    SceneParams,
    Style,
    Wing,
)

Story = Literal["any", "growth", "mixed", "clearance", "fire", "none"]
STORIES: tuple[Story, ...] = ("growth", "mixed", "clearance", "fire", "none")
STORY_ODDS = (0.32, 0.32, 0.1, 0.16, 0.1)
REPAINT_CHANCE = 0.012
MAX_SHIFT_PX = 1.0
FATES = ("keep", "new", "enlarged", "demolished", "burnt")


@dataclass
class _Fates:
    """What stands on either date, while it is being decided."""

    before: list[Building] = field(default_factory=list)
    after: list[Building] = field(default_factory=list)
    sites_before: list[Patch] = field(default_factory=list)
    sites_after: list[Patch] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)


def make_pair(params: SceneParams, story: Story = "any") -> ScenePair:
    """Draw one place on two dates, with the change between them.

    Args:
        params: place, size, resolution and style.
        story: what happened; "any" draws it from the seed, "none" leaves every building alone.

    Returns:
        Both scenes on one grid; the second picture may be displaced by up to a pixel, the truth of
        both dates is not.

    Raises:
        ParameterError: the story is unknown.
    """
    if story != "any" and story not in STORIES:
        raise ParameterError(f"Story {story!r} is unknown; choose of {', '.join(STORIES)}.")
    rng = np.random.default_rng([params.seed, 303])
    drawn = STORIES[int(rng.choice(len(STORIES), p=STORY_ODDS))]
    plan = make_plan(params)
    told = drawn if story == "any" else story
    fates = _decide(rng, plan, told)
    first, second = _two_looks(rng, plan.style)
    fire = told == "fire"
    before = render(_dated(plan, fates.before, fates.sites_before, None), first, params)
    after_plan = _dated(plan, fates.after, fates.sites_after, rng, scorched=fire)
    after = render(after_plan, second, params)
    change = difference(before, after)
    return ScenePair(
        before=before,
        after=after,
        change=change,
        damage=((after.damage > 0) & (change == DEMOLISHED)).astype(np.uint8),
        events=tuple(f"{count} {fate}" for fate, count in sorted(fates.counts.items())),
    )


def difference(before: Scene, after: Scene) -> Labels:
    """Label the change of the building mask: uint8 [H, W], 0 unchanged, 1 built, 2 demolished."""
    had, has = before.instances > 0, after.instances > 0
    change = np.full(had.shape, UNCHANGED, dtype=np.uint8)
    change[~had & has] = BUILT
    change[had & ~has] = DEMOLISHED
    return change


def _decide(rng: np.random.Generator, plan: Plan, story: Story) -> _Fates:
    """Draw the fate of every building; fire and growth come in patches."""
    fates = _Fates()
    rate = float(rng.uniform(0.04, 0.3))
    odds = {
        "growth": (0.0, 0.72, 0.28, 0.0, 0.0),
        "mixed": (0.0, 0.42, 0.16, 0.34, 0.08),
        "clearance": (0.0, 0.05, 0.0, 0.95, 0.0),
        "fire": (0.0, 0.02, 0.0, 0.03, 0.95),
        "none": (1.0, 0.0, 0.0, 0.0, 0.0),
        "any": (1.0, 0.0, 0.0, 0.0, 0.0),
    }[story]
    if story == "fire":
        rate = float(rng.uniform(0.3, 0.95))
    focus = rng.uniform(0.0, plan.extent_m, size=2)
    radius = float(rng.uniform(0.25, 0.8)) * plan.extent_m
    clustered = story == "fire" or rng.random() < 0.45
    for building in plan.buildings:
        near = float(np.hypot(building.x - focus[0], building.y - focus[1])) < radius
        chance = rate * ((2.2 if near else 0.15) if clustered else 1.0)
        drawn = FATES[int(rng.choice(len(FATES), p=odds))]
        fate = drawn if rng.random() < min(chance, 0.95) else "keep"
        _apply(rng, fates, building, fate)
    return fates


def _apply(rng: np.random.Generator, fates: _Fates, building: Building, fate: str) -> None:
    """Enter one building into the lists of both dates."""
    cleared = rng.random() < 0.6
    later = building
    if rng.random() < REPAINT_CHANCE:
        later = _repainted(rng, building)
    if fate == "new":
        fates.after.append(building)
        if cleared:
            fates.sites_before.append(_site(rng, building))
    elif fate == "enlarged":
        fates.before.append(_smaller(rng, building))
        fates.after.append(building)
    elif fate == "demolished":
        fates.before.append(building)
        if cleared:
            fates.sites_after.append(_site(rng, building))
    elif fate == "burnt":
        fates.before.append(building)
        fates.after.append(replace(building, burnt=True))
        fates.sites_after.append(_site(rng, building))
    else:
        fates.before.append(building)
        fates.after.append(later)
    if fate != "keep":
        fates.counts[fate] = fates.counts.get(fate, 0) + 1


def _repainted(rng: np.random.Generator, building: Building) -> Building:
    names = [name for name in ROOFS if (name.startswith("metal")) == (building.roof != "flat")]
    return replace(building, material=names[int(rng.integers(len(names)))])


def _smaller(rng: np.random.Generator, building: Building) -> Building:
    """Take away a wing, or a third of a rectangle."""
    if len(building.wings) > 1:
        return replace(building, wings=building.wings[:-1])
    wing = building.wings[0]
    keep = float(rng.uniform(0.5, 0.75))
    if wing.half_u >= wing.half_v:
        part = Wing(wing.u - (1 - keep) * wing.half_u, wing.v, keep * wing.half_u, wing.half_v)
    else:
        part = Wing(wing.u, wing.v - (1 - keep) * wing.half_v, wing.half_u, keep * wing.half_v)
    return replace(building, wings=(part,))


def _site(rng: np.random.Generator, building: Building) -> Patch:
    """Bare ground where a building goes or was, a little larger than it."""
    half_u = max(abs(w.u) + w.half_u for w in building.wings) + float(rng.uniform(0.3, 2.5))
    half_v = max(abs(w.v) + w.half_v for w in building.wings) + float(rng.uniform(0.3, 2.5))
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * rng.uniform(0.85, 1.1, (4, 2))
    local = corners * [half_u, half_v]
    c, s = np.cos(building.angle), np.sin(building.angle)
    polygon = np.stack(
        [
            building.x + local[:, 0] * c - local[:, 1] * s,
            building.y + local[:, 0] * s + local[:, 1] * c,
        ],
        axis=1,
    )
    return Patch(polygon, "soil", building.angle, int(rng.integers(2**31)))


def _dated(
    plan: Plan,
    buildings: list[Building],
    sites: list[Patch],
    rng: np.random.Generator | None,
    *,
    scorched: bool = False,
) -> Plan:
    """The plan on one date; with `rng`, crops and some trees differ from the first date."""
    patches, trees = plan.patches, plan.trees
    if rng is not None:
        if rng.random() < 0.6:
            patches = tuple(
                replace(p, seed=int(rng.integers(2**31))) if p.use == "field" else p
                for p in patches
            )
        fell = float(rng.uniform(0.3, 0.7)) if scorched else float(rng.uniform(0.0, 0.12))
        grow = float(rng.uniform(1.0, 1.15))
        trees = tuple(replace(t, radius_m=t.radius_m * grow) for t in trees if rng.random() >= fell)
    return replace(plan, buildings=tuple(buildings), patches=(*patches, *sites), trees=trees)


def _two_looks(rng: np.random.Generator, style: Style) -> tuple[Appearance, Appearance]:
    """Light and sensor of both dates: alike in a third of the pairs, else independent."""
    first, second = draw_appearance(rng, style), draw_appearance(rng, style)
    if rng.random() < 0.35:
        second = replace(
            first,
            sun_azimuth_deg=first.sun_azimuth_deg + float(rng.normal(0.0, 8.0)),
            sun_elevation_deg=float(
                np.clip(first.sun_elevation_deg + rng.normal(0.0, 4.0), 22.0, 78.0)
            ),
            exposure=first.exposure * float(np.exp(rng.normal(0.0, 0.06))),
            dryness=float(np.clip(first.dryness + rng.normal(0.0, 0.15), 0.0, 1.0)),
            seed=second.seed,
        )
    clouds = float(rng.uniform(0.4, 0.8))
    cloudy = int(rng.choice(3, p=[0.76, 0.12, 0.12]))
    shift = rng.uniform(-MAX_SHIFT_PX, MAX_SHIFT_PX, size=2) * (rng.random() < 0.75)
    if cloudy == 1:
        first = replace(first, clouds=clouds)
    elif cloudy == 2:
        second = replace(second, clouds=clouds)
    return first, replace(second, shift_px=(float(shift[0]), float(shift[1])))
