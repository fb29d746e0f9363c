"""What each style puts on its blocks."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from n2m_core.scenes.desert import desert_grid, fill_desert
from n2m_core.scenes.draft import Draft, Grid
from n2m_core.scenes.ground_frame import Rect
from n2m_core.scenes.lots import cut_lots, garden, rows_of
from n2m_core.scenes.scene import Building, Street, Style, Surface, Use

OPEN_USES: tuple[Use, ...] = ("park", "field", "soil", "paved", "field")


def _suburb_grid(rng: np.random.Generator) -> Grid:
    short = float(rng.uniform(52.0, 76.0))
    return Grid(
        (float(rng.uniform(110.0, 200.0)), short),
        (float(rng.uniform(9.0, 15.0)), float(rng.uniform(7.0, 10.0)), 7.0),
        ("asphalt", "asphalt", "asphalt" if rng.random() < 0.7 else "concrete"),
        float(rng.uniform(0.0, 0.55)),
    )


def _town_grid(rng: np.random.Generator) -> Grid:
    surfaces: tuple[Surface, ...] = ("concrete", "dirt", "asphalt")
    last = surfaces[int(rng.integers(3))]
    side = float(rng.uniform(24.0, 60.0))
    return Grid(
        (side * float(rng.uniform(1.0, 1.9)), side),
        (float(rng.uniform(7.0, 16.0)), float(rng.uniform(4.5, 7.0)), 4.0, 2.6),
        ("asphalt", last, last, last),
        float(rng.uniform(0.1, 0.5)),
    )


def _village_grid(rng: np.random.Generator) -> Grid:
    side = float(rng.uniform(60.0, 140.0))
    main: Surface = "asphalt" if rng.random() < 0.4 else "dirt"
    return Grid(
        (side * float(rng.uniform(1.0, 1.5)), side),
        (float(rng.uniform(4.0, 8.0)), 3.2, 2.4),
        (main, "dirt", "dirt"),
        float(rng.uniform(0.3, 0.8)),
    )


def _suburb_house(draft: Draft, lot: Rect, side: float) -> None:
    """Set a house with driveway, pool and shed on a lot whose street is on `side`."""
    rng = draft.rng
    setback = float(rng.uniform(5.0, 8.0))
    width = min(float(rng.uniform(0.6, 0.85)) * lot.width, 20.0)
    depth = min(float(rng.uniform(8.5, 14.0)), lot.depth - setback - 2.0)
    if width < 6.0 or depth < 5.0:
        return
    front = lot.b1 if side > 0 else lot.b0
    shift = float(rng.uniform(-0.5, 0.5)) * (lot.width - width) * 0.6
    centre = (lot.centre[0] + shift, front - side * (setback + depth / 2))
    # The drive runs along one flank of the house to the street.
    drive_a = centre[0] + float(rng.choice([-1.0, 1.0])) * (width / 2 - 2.2)
    near, far = front + side * 1.0, front - side * (setback + 0.5)
    drive = Rect(drive_a - 1.7, drive_a + 1.7, min(near, far), max(near, far))
    turn = 0.0 if side > 0 else np.pi
    house = draft.build(centre, (width, depth), gap_m=0.8, complexity=0.65, turn=turn)
    if house is None:
        return
    draft.lay(drive, "paved")
    back = front - side * (setback + depth)
    end = lot.b0 if side > 0 else lot.b1
    yard = abs(end - back)
    if yard > 7.0 and rng.random() < 0.13:
        pool_a = lot.centre[0] + float(rng.uniform(-0.25, 0.25)) * lot.width
        pool_b = back - side * (yard / 2)
        pool = Rect(pool_a - 3.6, pool_a + 3.6, pool_b - 1.9, pool_b + 1.9)
        draft.lay(pool.inset(-1.2), "paved", keep=True)
        draft.lay(pool, "pool")
    if yard > 6.0 and rng.random() < 0.4:
        at = (
            lot.a0 + 2.6 if rng.random() < 0.5 else lot.a1 - 2.6,
            end + side * float(rng.uniform(2.2, 3.5)),
        )
        size = (float(rng.uniform(2.4, 4.5)), float(rng.uniform(2.2, 3.6)))
        draft.build(at, size, gap_m=0.3, complexity=0.0, material="metal_old")


def _big_block(draft: Draft, block: Rect) -> None:
    """A school, shop or workshop with its parking."""
    rng = draft.rng
    draft.lay(block.inset(1.0), "parking" if rng.random() < 0.7 else "paved")
    material = str(rng.choice(["membrane", "gravel", "metal_new", "metal_blue", "concrete"]))
    size = (
        min(block.width * float(rng.uniform(0.35, 0.62)), 70.0),
        min(block.depth * float(rng.uniform(0.35, 0.6)), 40.0),
    )
    shift = (float(rng.uniform(-0.12, 0.12)), float(rng.uniform(-0.12, 0.12)))
    centre = (
        block.centre[0] + shift[0] * block.width,
        block.centre[1] + shift[1] * block.depth,
    )
    draft.build(centre, size, gap_m=1.0, complexity=0.6, material=material)


def fill_suburb(draft: Draft, blocks: list[Rect]) -> None:
    """Houses on lots, here and there a large building or a park."""
    rng = draft.rng
    lot_width = float(rng.uniform(14.0, 19.0))
    trees = float(rng.uniform(0.8, 4.5)) * draft.greenness
    fenced = float(rng.uniform(0.0, 0.7))
    empty = float(rng.uniform(0.02, 0.2))
    for block in blocks:
        if not draft.sees(block):
            continue
        draw = rng.random()
        if draw < 0.09:
            _big_block(draft, block)
            continue
        if draw < 0.14:
            draft.lay(block, "park")
            garden(draft, block, 0.004 * block.width * block.depth)
            continue
        for row, side in rows_of(block):
            for lot in cut_lots(rng, row, (lot_width, lot_width * 1.45)):
                draft.lay(lot, "lawn")
                if rng.random() > empty:
                    _suburb_house(draft, lot, side)
                garden(draft, lot, trees)
                if rng.random() < fenced:
                    draft.wall(
                        lot.inset(0.3), 0.35, 1.5, "hedge" if rng.random() < 0.35 else "wall"
                    )


def _town_lots(rng: np.random.Generator, block: Rect, target: float) -> list[Rect]:
    """Split a block into small lots, unevenly, with some left large."""
    stack, lots = [block], []
    while stack:
        rect = stack.pop()
        longest = max(rect.width, rect.depth)
        if longest < target * float(rng.uniform(1.2, 2.1)):
            lots.append(rect)
            continue
        at = float(rng.uniform(0.34, 0.66))
        if rect.width >= rect.depth:
            cut = rect.a0 + at * rect.width
            stack += [Rect(rect.a0, cut, rect.b0, rect.b1), Rect(cut, rect.a1, rect.b0, rect.b1)]
        else:
            cut = rect.b0 + at * rect.depth
            stack += [Rect(rect.a0, rect.a1, rect.b0, cut), Rect(rect.a0, rect.a1, cut, rect.b1)]
    return lots


def _town_house(draft: Draft, lot: Rect, density: float) -> Building | None:
    """Fill most of a lot with a house, and put a shed beside it now and then."""
    rng = draft.rng
    gap = float(rng.choice([0.05, 0.4, 1.0], p=[0.45, 0.35, 0.2]))
    cover_a = 1.0 if rng.random() < density else float(rng.uniform(0.6, 0.95))
    cover_b = 1.0 if rng.random() < density else float(rng.uniform(0.55, 0.95))
    width, depth = (lot.width - gap) * cover_a, (lot.depth - gap) * cover_b
    if min(width, depth) < 2.6:
        return None
    slack = ((lot.width - gap - width) / 2, (lot.depth - gap - depth) / 2)
    centre = (
        lot.centre[0] + float(rng.choice([-1.0, 1.0])) * slack[0],
        lot.centre[1] + float(rng.choice([-1.0, 1.0])) * slack[1],
    )
    turn = float(rng.normal(0.0, 0.02)) + float(rng.integers(4)) * np.pi / 2
    size = (width, depth)
    if round(turn / (np.pi / 2)) % 2:
        size = (depth, width)
    return draft.build(centre, size, gap_m=-0.4, complexity=0.3, turn=turn, tolerance=0.06)


def fill_town(draft: Draft, blocks: list[Rect]) -> None:
    """Dense rows of small buildings around courts, some open ground, a few halls."""
    rng = draft.rng
    density = float(rng.uniform(0.3, 1.0))
    target = float(rng.uniform(6.0, 11.5))
    vacant = float(rng.uniform(0.02, 0.28))
    open_blocks = float(rng.uniform(0.02, 0.22))
    ground: Use = "soil" if rng.random() < 0.55 else "paved"
    for block in blocks:
        if not draft.sees(block):
            continue
        draw = rng.random()
        if draw < open_blocks:
            draft.lay(block, OPEN_USES[int(rng.integers(len(OPEN_USES)))])
            garden(draft, block, 0.003 * block.width * block.depth * draft.greenness)
            continue
        draft.lay(block, ground if rng.random() < 0.8 else "lawn")
        if draw < open_blocks + 0.05 and min(block.width, block.depth) > 18.0:
            _big_block(draft, block)
            continue
        for lot in _town_lots(rng, block, target):
            if not draft.sees(lot):
                continue
            if rng.random() < vacant or _town_house(draft, lot, density) is None:
                if rng.random() < draft.greenness:
                    draft.lay(lot, "lawn")
                    garden(draft, lot, 2.5)
            elif rng.random() < 0.2:
                garden(draft, lot, 1.5 * draft.greenness)


def fill_village(draft: Draft, blocks: list[Rect]) -> None:
    """Fields and groves, with houses strewn along the tracks."""
    rng = draft.rng
    houses = float(rng.uniform(2.0, 20.0))
    farmed = float(rng.uniform(0.1, 0.6))
    for block in blocks:
        if not draft.sees(block):
            continue
        if rng.random() < farmed:
            for lot in _town_lots(rng, block, float(rng.uniform(18.0, 50.0))):
                if rng.random() < 0.75:
                    draft.lay(lot.inset(0.4), "field")
        if rng.random() < 0.04:
            draft.lay(block.inset(block.depth * 0.25), "water", keep=True)
        for _ in range(int(rng.poisson(houses * block.width * block.depth / 10_000.0))):
            _homestead(draft, block)


def _homestead(draft: Draft, block: Rect) -> None:
    """A house somewhere in a block, its swept yard, a few huts and trees."""
    rng = draft.rng
    near = rng.random() < 0.6
    b = block.b0 + 7.0 if near else float(rng.uniform(block.b0 + 5, block.b1 - 5))
    centre = (float(rng.uniform(block.a0 + 5, block.a1 - 5)), b)
    size = (float(rng.uniform(5.0, 15.0)), float(rng.uniform(4.0, 9.5)))
    turn = float(rng.normal(0.0, 0.12)) + float(rng.integers(2)) * np.pi / 2
    if draft.build(centre, size, gap_m=1.5, complexity=0.3, turn=turn) is None:
        return
    reach = float(rng.uniform(1.5, 5.0)) + max(size) / 2
    yard = Rect(centre[0] - reach, centre[0] + reach, b - reach, b + reach)
    if rng.random() < 0.75:
        draft.lay(yard, "soil")
    garden(draft, yard.inset(-2.0), 1.5 * draft.greenness)
    for _ in range(int(rng.poisson(0.7))):
        spot = (
            centre[0] + float(rng.uniform(-1.3, 1.3)) * reach,
            b + float(rng.uniform(-1.3, 1.3)) * reach,
        )
        hut = (float(rng.uniform(1.8, 5.0)), float(rng.uniform(1.8, 4.0)))
        draft.build(spot, hut, gap_m=0.3, complexity=0.0, turn=turn)


def add_paths(draft: Draft, blocks: list[Rect]) -> None:
    """Trodden and driven tracks across open ground."""
    rng = draft.rng
    count = {"suburb": 0.05, "town": 0.15, "village": 0.9, "desert_city": 0.8}[draft.style]
    for block in blocks:
        if not draft.sees(block):
            continue
        for _ in range(int(rng.poisson(count))):
            a = rng.uniform(block.a0, block.a1, size=2)
            b = rng.uniform(block.b0, block.b1, size=2)
            share = np.linspace(0.0, 1.0, 14)
            sway = float(rng.normal(0.0, 6.0)) * np.sin(share * float(rng.uniform(3.0, 9.0)))
            line = np.stack(
                [a[0] + (a[1] - a[0]) * share + sway, b[0] + (b[1] - b[0]) * share - sway], axis=1
            )
            width = float(rng.uniform(0.4, 1.0 if draft.style != "desert_city" else 2.6))
            draft.streets.append(Street(draft.frame.to_ground(line), width, "path", 9))


GRIDS: Mapping[Style, Callable[[np.random.Generator], Grid]] = {
    "suburb": _suburb_grid,
    "town": _town_grid,
    "village": _village_grid,
    "desert_city": desert_grid,
}
RECIPES: Mapping[Style, Callable[[Draft, list[Rect]], None]] = {
    "suburb": fill_suburb,
    "town": fill_town,
    "village": fill_village,
    "desert_city": fill_desert,
}
