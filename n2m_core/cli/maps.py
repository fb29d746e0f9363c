"""`n2m segment` and `n2m change`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from n2m_core.cli import options, streaming
from n2m_core.cli.files import RASTER_SUFFIXES, VECTOR_SUFFIXES, check_outputs
from n2m_core.cli.output import Output
from n2m_core.cli.report import map_lines, path_text

if TYPE_CHECKING:
    from n2m_core.tasks.result import MapResult

SEGMENT_EXAMPLE = (
    "Example: n2m segment tile.tif --checkpoint n2m-buildings --out map.tif "
    "--vector buildings.geojson --min-area 10"
)
CHANGE_EXAMPLE = (
    "Example: n2m change 2016.tif 2019.tif --checkpoint n2m-change --out change.tif --threshold 0.6"
)


@dataclass(frozen=True)
class MapFiles:
    """Where the results of a map go."""

    out: Path
    probabilities: Path | None
    vector: Path | None

    @property
    def all(self) -> tuple[Path, Path | None, Path | None]:
        """Map, probabilities, polygons."""
        return self.out, self.probabilities, self.vector

    def check(self, *inputs: Path) -> None:
        """Refuse, before any work, what could not be written or would destroy an input."""
        outputs = {
            "--out": (self.out, RASTER_SUFFIXES),
            "--probabilities": (self.probabilities, RASTER_SUFFIXES),
            "--vector": (self.vector, VECTOR_SUFFIXES),
        }
        check_outputs(outputs, inputs)


def segment(
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="The image, of any size.")],
    checkpoint: options.Checkpoint,
    out: options.MapFile,
    probabilities: options.ProbabilityFile = None,
    vector: options.VectorFile = None,
    timestep: options.Timestep = None,
    device: options.Device = "auto",
    seed: options.Seed = 0,
    resolution: options.Resolution = None,
    bands: options.Bands = None,
    nodata: options.Nodata = None,
    threshold: options.Threshold = None,
    min_area: options.MinArea = 0.0,
    engine: streaming.Engine = "auto",
    scheduler: streaming.Scheduler = None,
    is_resumed: streaming.Resume = False,
    block: streaming.BlockSide = None,
    is_json: options.Json = False,
) -> None:
    """Map the classes of one image; the map lies exactly on the image's grid."""
    chosen = options.whole_numbers(bands, "--bands")
    asked = streaming.Asked(engine, scheduler, is_resumed, block)
    files, output = MapFiles(out, probabilities, vector), Output(is_json=is_json)
    files.check(image)

    from n2m_core import checkpoints
    from n2m_core.raster_io import read_image
    from n2m_core.tasks import mapping
    from n2m_core.tasks.params import MapParams
    from n2m_core.tasks.segment import run

    params = MapParams(timestep, seed, threshold, resolution, min_area)
    mapping.check_task(checkpoints.read_card(checkpoint, "segment"), "segment")
    if asked.streams(image):
        scenes = (streaming.scene_file(image, chosen, nodata),)
        named = {"image": image}
        streaming.stream_map(named, scenes, checkpoint, params, device, files.all, asked, output)
        return
    asked.refuse_in_memory()
    picture = read_image(image, bands=chosen, nodata=nodata)
    model = checkpoints.load(checkpoint, "segment", device=device)
    result = run(picture, model, params, output.progress)
    _finish(result, files, {"image": str(image)}, output)


def change(
    before: Annotated[Path, typer.Argument(help="The earlier image; the map is on its grid.")],
    after: Annotated[Path, typer.Argument(help="The later image, aligned to the earlier one.")],
    checkpoint: options.Checkpoint,
    out: options.MapFile,
    probabilities: options.ProbabilityFile = None,
    vector: options.VectorFile = None,
    timestep: options.Timestep = None,
    device: options.Device = "auto",
    seed: options.Seed = 0,
    resolution: options.Resolution = None,
    bands: options.Bands = None,
    nodata: options.Nodata = None,
    threshold: options.Threshold = None,
    min_area: options.MinArea = 0.0,
    engine: streaming.Engine = "auto",
    scheduler: streaming.Scheduler = None,
    is_resumed: streaming.Resume = False,
    block: streaming.BlockSide = None,
    is_json: options.Json = False,
) -> None:
    """Map what changed between two images of a place; the map lies on the grid of BEFORE."""
    chosen = options.whole_numbers(bands, "--bands")
    asked = streaming.Asked(engine, scheduler, is_resumed, block)
    files, output = MapFiles(out, probabilities, vector), Output(is_json=is_json)
    files.check(before, after)

    from n2m_core import checkpoints
    from n2m_core.raster_io import read_image
    from n2m_core.tasks import mapping
    from n2m_core.tasks.change import run
    from n2m_core.tasks.params import MapParams

    params = MapParams(timestep, seed, threshold, resolution, min_area)
    mapping.check_task(checkpoints.read_card(checkpoint, "change"), "change")
    if asked.streams(before, after):
        named = {"before": before, "after": after}
        scenes = tuple(streaming.scene_file(each, chosen, nodata) for each in named.values())
        streaming.stream_map(named, scenes, checkpoint, params, device, files.all, asked, output)
        return
    asked.refuse_in_memory()
    earlier, later = (read_image(path, bands=chosen, nodata=nodata) for path in (before, after))
    model = checkpoints.load(checkpoint, "change", device=device)
    result = run(earlier, later, model, params, output.progress)
    _finish(result, files, {"before": str(before), "after": str(after)}, output)


def _finish(result: MapResult, files: MapFiles, inputs: dict[str, str], output: Output) -> None:
    """Write the files and say what the map holds."""
    from n2m_core.raster_io import write_geotiff
    from n2m_core.tasks.export import class_figures, polygons_of
    from n2m_core.tasks.result import INVALID
    from n2m_core.vectorize import write_vector

    polygons = None if files.vector is None else polygons_of(result)
    write_geotiff(
        files.out, result.map_image, nodata=INVALID, colormap=result.colors, tags=result.tags
    )
    if files.probabilities is not None:
        image = result.probability_image
        write_geotiff(files.probabilities, image, nodata=float("nan"), tags=result.tags)
    if files.vector is not None and polygons is not None:
        write_vector(files.vector, polygons)
    classes = class_figures(result)
    payload: dict[str, Any] = {
        "task": result.card.task,
        "checkpoint": result.card.id,
        "license": result.card.license,
        "timestep": result.timestep,
        "mixed": result.is_mixed,
        **inputs,
        "out": str(files.out),
        "probabilities": path_text(files.probabilities),
        "vector": path_text(files.vector),
        "polygons": None if polygons is None else len(polygons),
        "height": result.image.height,
        "width": result.image.width,
        "crs": result.map_image.crs,
        "classes": classes,
        "notes": list(result.notes),
        "seconds": round(result.seconds, 3),
    }
    output.finish(payload, map_lines(payload), result.notes)
