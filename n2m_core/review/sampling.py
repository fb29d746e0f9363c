"""Draw a stratified random sample of a map: pixels, blocks of pixels, or objects.

Pixels and blocks are drawn in every class that the map shows, background included, so that what the
map missed can be found. A block is a square of pixels and has the class of most of its pixels that
have data; the reviewer says what most of it is. Objects are drawn in strata of class, size and
confidence; what the map missed is no object, so such a sample says nothing of omission.

Within a stratum every unit has the same chance. Units are shown in a random order of all strata, so
that the part that was answered is a random sample too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, exists, func, or_, select

from n2m_core.errors import ParameterError
from n2m_core.geo_image import GeoImage
from n2m_core.raster_io import ground_areas_m2
from n2m_core.render import NOT_SHOWN
from n2m_core.review import schema
from n2m_core.review.accuracy import LEAST, allocate
from n2m_core.review.project import Project, get_source, now, picture
from n2m_core.review.records import Sample, Source, Stratum
from n2m_core.review.strata import strata_of

MAX_UNITS = 100_000
MAX_BLOCK_PX = 1024
LEAST_OBJECTS = 2
"""Two objects of a stratum are what an interval needs."""
_SIZES = ("small", "medium", "large", "of unknown size")
_CONFIDENCES = ("low confidence", "middle confidence", "high confidence", "confidence unknown")
Kind = Literal["points", "blocks", "objects"]
Labels = NDArray[np.uint8]


@dataclass(frozen=True)
class SampleParams:
    """Choices for a sample.

    Attributes:
        size: units to draw.
        least: units for a stratum that is rare; 50 for classes, 2 for strata of objects if None.
        block_px: side of a block of pixels; 1 for single pixels. Not for objects.
        seed: names the draw, 0..2^63 - 1.
    """

    size: int = 300
    least: int | None = None
    block_px: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        """Check every value.

        Raises:
            ParameterError: a value is out of its range.
        """
        if not 1 <= self.size <= MAX_UNITS:
            raise ParameterError(f"A sample of {self.size} units; 1 to {MAX_UNITS} are possible.")
        if self.least is not None and self.least < 0:
            raise ParameterError(f"{self.least} units for a rare class; give 0 or more.")
        if not 1 <= self.block_px <= MAX_BLOCK_PX:
            raise ParameterError(f"Blocks of {self.block_px} px; 1 to {MAX_BLOCK_PX} are possible.")
        if not 0 <= self.seed < 2**63:
            raise ParameterError(f"Seed {self.seed} must lie between 0 and 2^63 - 1.")


def draw_pixels(project: Project, source_id: int, params: SampleParams | None = None) -> Sample:
    """Draw pixels or blocks in every class of a map.

    Raises:
        ReviewError: the map came without a raster, its file is gone, or the project can't be
            written.
        ParameterError: no such map, or nothing to draw.
    """
    params = params or SampleParams()
    source = get_source(project, source_id)
    image = picture(source, "map")
    labels = np.where(image.valid, image.pixels[0], NOT_SHOWN).astype(np.uint8)
    cells = labels if params.block_px == 1 else block_classes(labels, params.block_px)
    counts = np.bincount(cells.ravel(), minlength=256)
    present = [entry for entry in source.classes if counts[entry.id]]
    populations = [int(counts[entry.id]) for entry in present]
    drawn = allocate(params.size, populations, LEAST if params.least is None else params.least)
    areas = _areas_m2(labels, image, source)
    strata = [
        Stratum(entry.id, entry.id, entry.name, population, areas.get(entry.id), number)
        for entry, population, number in zip(present, populations, drawn, strict=True)
    ]
    generator = np.random.default_rng(params.seed)
    places = [_places(cells, stratum, generator) for stratum in strata]
    units = [
        {"stratum": stratum.number, "row": int(row) * params.block_px,
         "col": int(column) * params.block_px}
        for stratum, found in zip(strata, places, strict=True)
        for row, column in found
    ]  # fmt: skip
    kind: Kind = "points" if params.block_px == 1 else "blocks"
    return _keep(project, source_id, kind, params, strata, units, generator)


def draw_objects(project: Project, source_id: int, params: SampleParams | None = None) -> Sample:
    """Draw objects of a map in strata of class, size and confidence.

    Objects that reviewers drew are not the map's and are left out.

    Raises:
        ParameterError: no such map, nothing to draw, or blocks asked for.
        ReviewError: the project can't be written.
    """
    params = params or SampleParams()
    if params.block_px != 1:
        raise ParameterError("Objects are drawn whole; leave the size of blocks at 1.")
    source = get_source(project, source_id)
    table = schema.objects
    with project.store.reading() as connection:
        rows = connection.execute(
            select(table.c.id, table.c.class_id, table.c.area_m2, table.c.area_px,
                   table.c.confidence)
            .where(table.c.source_id == source_id, table.c.origin == "map")
            .order_by(table.c.id)
        ).all()  # fmt: skip
    sizes = [row.area_px if row.area_m2 is None else row.area_m2 for row in rows]
    codes = strata_of(
        np.array([row.class_id for row in rows], np.int64),
        np.array(sizes, np.float64),
        np.array([row.confidence for row in rows], np.float64),
    )
    numbers, populations = np.unique(codes, return_counts=True)
    least = LEAST_OBJECTS if params.least is None else params.least
    drawn = allocate(params.size, populations.tolist(), least)
    generator = np.random.default_rng(params.seed)
    strata, units = [], []
    for number, population, count in zip(
        numbers.tolist(), populations.tolist(), drawn, strict=True
    ):
        strata.append(_object_stratum(source, number, population, count))
        members = np.flatnonzero(codes == number)
        for index in generator.choice(members, count, replace=False):
            units.append({"stratum": number, "object_id": rows[int(index)].id})
    return _keep(project, source_id, "objects", params, strata, units, generator)


def class_pixels(source: Source) -> list[tuple[str, int]]:
    """Name and pixels of every class that a map shows.

    Raises:
        ReviewError: the map came without a raster, or its file is gone.
    """
    image = picture(source, "map")
    counts = np.bincount(image.pixels[0][image.valid].ravel(), minlength=256)
    return [(entry.name, int(counts[entry.id])) for entry in source.classes if counts[entry.id]]


def samples(project: Project) -> tuple[Sample, ...]:
    """All samples of the project, in the order in which they were drawn."""
    with project.store.reading() as connection:
        rows = connection.execute(select(schema.samples).order_by(schema.samples.c.id)).all()
        return tuple(_read(connection, row) for row in rows)


def get_sample(project: Project, sample_id: int) -> Sample:
    """One sample.

    Raises:
        ParameterError: the project has none of that number.
    """
    for sample in samples(project):
        if sample.id == sample_id:
            return sample
    raise ParameterError(f"The project has no sample {sample_id}; draw one first.")


def block_classes(labels: Labels, side: int) -> Labels:
    """Class of most pixels with data of every block.

    Args:
        labels: uint8 [H, W]; 255 where there is no data.
        side: of a block, pixels; blocks at the right and lower edge may be smaller.

    Returns:
        uint8 [ceil(H / side), ceil(W / side)]; the lower index on a tie, 255 without any data.
    """
    rows, columns = (-(-length // side) for length in labels.shape)
    padded = np.full((rows * side, columns * side), NOT_SHOWN, np.uint8)
    padded[: labels.shape[0], : labels.shape[1]] = labels
    blocks = padded.reshape(rows, side, columns, side)
    best = np.full((rows, columns), NOT_SHOWN, np.uint8)
    most = np.zeros((rows, columns), np.int64)
    for value in np.unique(labels[labels != NOT_SHOWN]):
        count = (blocks == value).sum(axis=(1, 3))
        best[count > most] = value
        most = np.maximum(most, count)
    return best


def _places(cells: Labels, stratum: Stratum, generator: np.random.Generator) -> NDArray[np.int64]:
    """Draw cells of a class, int64 [N, 2] row and column, without a list of all of them."""
    in_row = (cells == stratum.class_id).sum(axis=1)
    ends = np.cumsum(in_row)
    ranks = np.sort(generator.choice(stratum.population, stratum.drawn, replace=False))
    rows = np.searchsorted(ends, ranks, side="right")
    columns = [
        np.flatnonzero(cells[row] == stratum.class_id)[rank - (ends[row] - in_row[row])]
        for row, rank in zip(rows, ranks, strict=True)
    ]
    return np.column_stack([rows, np.array(columns, np.int64)]).astype(np.int64)


def _areas_m2(labels: Labels, image: GeoImage, source: Source) -> dict[int, float]:
    """Ground area of every class; nothing where it is unknown."""
    by_row = ground_areas_m2(image)
    if by_row is None:
        if source.resolution_m is None:
            return {}
        by_row = np.full(image.height, source.resolution_m**2)
    return {entry.id: float((labels == entry.id).sum(axis=1) @ by_row) for entry in source.classes}


def _object_stratum(source: Source, code: int, population: int, drawn: int) -> Stratum:
    class_id, size, confidence = code // 100, code // 10 % 10, code % 10
    name = f"{source.class_name(class_id)}, {_SIZES[size]}, {_CONFIDENCES[confidence]}"
    return Stratum(code, class_id, name, population, None, drawn)


def _keep(
    project: Project,
    source_id: int,
    kind: Kind,
    params: SampleParams,
    strata: Sequence[Stratum],
    units: Sequence[Mapping[str, Any]],
    generator: np.random.Generator,
) -> Sample:
    """Write a sample down, its units in a random order."""
    order = generator.permutation(len(units))
    with project.store.writing() as connection:
        row = connection.execute(
            schema.samples.insert()
            .values(
                source_id=source_id,
                kind=kind,
                block_px=params.block_px,
                seed=params.seed,
                drawn_at=now(),
            )
            .returning(*schema.samples.c)
        ).one()
        connection.execute(
            schema.strata.insert(),
            [
                {
                    "sample_id": row.id,
                    "stratum": each.number,
                    "class_id": each.class_id,
                    "name": each.name,
                    "population": each.population,
                    "area_m2": each.area_m2,
                    "drawn": each.drawn,
                }
                for each in strata
            ],
        )
        blank = {"object_id": None, "row": None, "col": None}
        connection.execute(
            schema.units.insert(),
            [
                {**blank, **units[int(index)], "sample_id": row.id, "rank": rank}
                for rank, index in enumerate(order)
            ],
        )
        return _read(connection, row)


def _read(connection: Connection, row: Any) -> Sample:  # noqa: ANN401 - a row
    parts = schema.strata
    strata = tuple(
        Stratum(each.stratum, each.class_id, each.name, each.population, each.area_m2, each.drawn)
        for each in connection.execute(
            select(parts).where(parts.c.sample_id == row.id).order_by(parts.c.stratum)
        )
    )
    answered = connection.execute(
        select(func.count())
        .select_from(schema.units)
        .where(schema.units.c.sample_id == row.id, has_answer())
    ).scalar_one()
    return Sample(
        row.id,
        row.source_id,
        row.kind,
        row.block_px,
        row.seed,
        row.drawn_at,
        strata,
        sum(each.drawn for each in strata),
        answered,
    )


def has_answer(reviewer_id: int | None = None) -> Any:  # noqa: ANN401 - a clause of SQL
    """Clause: a unit, or the object that it is, has a verdict of anybody or of one reviewer."""
    unit, log = schema.units, schema.live_entries
    about = or_(log.c.unit_id == unit.c.id, log.c.object_id == unit.c.object_id)
    found = exists().where(about, log.c.verdict.is_not(None))
    return found if reviewer_id is None else found.where(log.c.reviewer_id == reviewer_id)
