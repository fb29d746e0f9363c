"""Scenes of any size: speed and memory against the number of pixels, and what stands in the way.

    python -m benchmarks.scale [MEGAPIXELS ...] [--task segment ...] [--minutes M] [--price P]

Every measurement is a process of its own, that makes a scene of so many megapixels by repeating a
procedural one, streams it, and says its peak of resident memory above the idle process, the share
of time in the network, the arithmetic of the network against that of a large product of matrices,
and by which operators its time is taken. Beside it, in the same process, goes one plain loop in the
authors' manner: tiles of 256 px one after the other, without overlap. A run that takes longer than
M minutes is broken off, and what it did until then is measured. Writes `benchmarks/scale.json` and
the table of `docs/scale.md`, with the cost of 1,000 km2 at P a machine-hour.
"""

from __future__ import annotations

import argparse
import functools
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import rasterio
import torch
from affine import Affine
from numpy.typing import NDArray
from rasterio.windows import Window

from benchmarks import network_profile
from benchmarks.__main__ import machine, write
from benchmarks.figures import use_threads
from benchmarks.network_profile import profiled
from n2m_core.checkpoints import LoadedModel, load
from n2m_core.errors import CancelledError
from n2m_core.geo_image import Progress
from n2m_core.raster_io import SceneFile
from n2m_core.scenes import held_out
from n2m_core.streaming import fuse, maps, refine
from n2m_core.streaming.jobs import ReadyJob
from n2m_core.streaming.journal import folder_of
from n2m_core.streaming.run import MapOutputs, StreamOptions, run_map, work_through
from n2m_core.tasks.fuse import FuseParams
from n2m_core.tasks.params import MapParams
from n2m_core.tasks.refine import RefineParams

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "scale.json"
PAGE = HERE.parent / "docs" / "scale.md"
BEGIN, END = "<!-- measured -->", "<!-- end of what was measured -->"
Task = Literal["segment", "change", "refine", "fuse"]
CHECKPOINTS = {"segment": "n2m-buildings", "change": "n2m-change", "refine": "idgbr-buildings"}
FUSION = "starfm"
SIZES_MP, MINUTES, PRICE = (1, 4, 16), 20.0, 0.10
TILE_PX, PLAIN_MP = 256, 4.0
MATRIX, REPEATS = 2048, 5
REPEAT_PX = 1024
"""Side of the procedural scene that is repeated."""
REFINE_STEPS = 10
FUSION_RESOLUTION_M = 30.0
Json = dict[str, Any]


@dataclass
class NetworkClock:
    """Time that a network takes, and the pixels that it sees, by hooks around it."""

    seconds: float = 0.0
    pixels: int = 0
    _began: float = field(default=0.0)

    def watch(self, network: torch.nn.Module) -> None:
        """Begin to watch."""
        network.register_forward_pre_hook(self._start)
        network.register_forward_hook(self._stop)

    def _start(self, _network: torch.nn.Module, inputs: Any) -> None:  # noqa: ANN401
        self._began = time.perf_counter()

    def _stop(self, _network: torch.nn.Module, inputs: Any, _output: object) -> None:  # noqa: ANN401
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.seconds += time.perf_counter() - self._began
        self.pixels += inputs[0].shape[0] * inputs[0].shape[2] * inputs[0].shape[3]


@dataclass
class Stopwatch:
    """Breaks a run off when its time is over."""

    limit_s: float
    _began: float = field(default_factory=time.perf_counter)

    def __call__(self, done: int, total: int, note: str) -> None:
        """See whether time is left; one block is always done."""
        if done and done < total and time.perf_counter() - self._began > self.limit_s:
            raise CancelledError(note)


def memory_kib(name: str) -> int:
    """Read VmRSS or VmHWM of this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    raise LookupError(name)


def reset_peak() -> None:
    """Let VmHWM begin anew."""
    Path("/proc/self/clear_refs").write_text("5")


@functools.cache
def procedural(size: int, resolution_m: float) -> NDArray[np.uint8]:
    """Draw a settlement, uint8 [3, size, size]."""
    pixels: NDArray[np.uint8] = next(held_out(1, size=size, resolution_m=resolution_m)).image.pixels
    return pixels


def make_scene(path: Path, megapixels: float, resolution_m: float, *, shift: int = 0) -> int:
    """Write a tiled scene by repeating a procedural one; gives its side."""
    side = round((megapixels * 1e6) ** 0.5)
    tile = np.roll(procedural(min(REPEAT_PX, side), min(resolution_m, 1.0)), shift, axis=2)
    edge = tile.shape[1]
    profile = {
        "driver": "GTiff", "width": side, "height": side, "count": len(tile), "dtype": "uint8",
        "crs": "EPSG:32633", "tiled": True, "compress": "DEFLATE", "photometric": "RGB",
        "transform": Affine(resolution_m, 0, 500_000, 0, -resolution_m, 5_000_000),
    }  # fmt: skip
    with rasterio.open(path, "w", **profile) as dataset:
        for top in range(0, side, edge):
            for left in range(0, side, edge):
                height, width = min(edge, side - top), min(edge, side - left)
                window = Window(left, top, width, height)
                dataset.write(tile[:, :height, :width], window=window)
    return side


def make_rough(path: Path, image: Path) -> None:
    """Write a rough map: bright pixels."""
    with rasterio.open(image) as source:
        profile = {**source.profile, "count": 1, "photometric": "MINISBLACK"}
        with rasterio.open(path, "w", **profile) as dataset:
            for _, window in source.block_windows(1):
                bright = source.read(1, window=window) > 150
                dataset.write(bright[None].astype(np.uint8), window=window)


Runner = Callable[[Path, Progress], None]


def runner(task: Task, files: list[SceneFile], model: LoadedModel | None) -> Runner:
    """Give the streamed run of a task on one scene, repeated for the others that it needs."""

    def run(out: Path, progress: Progress) -> None:
        if task == "fuse":
            named = dict(zip(fuse.ROLES, files, strict=True))
            prepared = fuse.prepare(named, FuseParams(FUSION, scale=16))
            journal, _ = work_through(prepared.job, prepared.work, out, StreamOptions(), progress)
            fuse.finish(journal, prepared.work, out)
            return
        assert model is not None
        made: ReadyJob[maps.MapJob, maps.MapWork] | ReadyJob[refine.RefineJob, refine.RefineWork]
        if task == "refine":
            params = RefineParams(steps=REFINE_STEPS)
            made = refine.prepare(files[0], files[1], model, params)
        else:
            made = maps.prepare(files, model, MapParams())
        options, outputs = StreamOptions(), MapOutputs(out)
        run_map(made.job, made.work, model.card, outputs, options, progress=progress)

    return run


def plain_loop(path: Path, model: LoadedModel) -> Json:
    """Map the upper rows of a scene tile by tile, one at a time, as the authors' scripts do."""
    done = 0
    rows: list[NDArray[np.uint8]] = []
    with rasterio.open(path) as dataset:
        started = time.perf_counter()
        for top in range(0, dataset.height - TILE_PX + 1, TILE_PX):
            for left in range(0, dataset.width - TILE_PX + 1, TILE_PX):
                tile = dataset.read(window=Window(left, top, TILE_PX, TILE_PX))
                x = torch.from_numpy(tile).float()[None] / 127.5 - 1
                if model.card.task == "change":
                    x = torch.cat([x, x], dim=1)
                with torch.no_grad():
                    t = torch.tensor([model.card.inference_timestep])
                    logits = model.model(x.to(model.device), t.to(model.device))
                rows.append(logits.argmax(1)[0].cpu().numpy().astype(np.uint8))
                done += TILE_PX**2
            if done >= PLAIN_MP * 1e6:
                break
        seconds = time.perf_counter() - started
    return {"megapixels": done / 1e6, "megapixels_per_s": done / 1e6 / seconds}


def matrix_gflops(device: torch.device) -> float:
    """Measure the arithmetic of a large product of matrices, 10^9 operations a second."""
    a = torch.randn(MATRIX, MATRIX, device=device)
    best = float("inf")
    for _ in range(REPEATS):
        started = time.perf_counter()
        a @ a
        if device.type == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - started)
    return 2 * MATRIX**3 / best / 1e9


def scenes(task: Task, folder: Path, megapixels: float, resolution_m: float) -> list[SceneFile]:
    """Make what a task reads."""
    first, second = folder / "first.tif", folder / "second.tif"
    make_scene(first, megapixels, resolution_m)
    if task == "segment":
        return [SceneFile(str(first))]
    if task == "refine":
        make_rough(second, first)
        return [SceneFile(str(first)), SceneFile(str(second))]
    make_scene(second, megapixels, resolution_m, shift=11)
    both = [SceneFile(str(first)), SceneFile(str(second))]
    return both if task == "change" else [both[0], both[0], both[1], both[1], both[0]]


def measure(task: Task, megapixels: float, minutes: float) -> Json:
    """Stream one scene in this process."""
    threads = use_threads()
    model = None if task == "fuse" else load(CHECKPOINTS[task], _of(task))
    resolution_m = FUSION_RESOLUTION_M if model is None else model.card.resolution_m
    device = torch.device("cpu") if model is None else model.device
    clock = NetworkClock()
    with tempfile.TemporaryDirectory(prefix="n2m-scale-") as name:
        folder = Path(name)
        files = scenes(task, folder, megapixels, resolution_m)
        plain = (
            None if model is None or task == "refine" else plain_loop(folder / "first.tif", model)
        )
        if model is not None:
            clock.watch(model.model)
        reset_peak()
        idle = memory_kib("VmRSS")
        out, started = folder / "out.tif", time.perf_counter()
        done_mp = (round((megapixels * 1e6) ** 0.5) ** 2) / 1e6
        try:
            runner(task, files, model)(out, Stopwatch(minutes * 60))
            is_whole = True
        except CancelledError:
            is_whole = False
            done_mp = _done_mp(out)
        seconds = time.perf_counter() - started
        peak = memory_kib("VmHWM")
    found: Json = {
        "task": task,
        "checkpoint": FUSION if model is None else model.card.id,
        "device": str(device),
        "threads": threads,
        "megapixels": round(megapixels, 3),
        "measured_megapixels": round(done_mp, 3),
        "is_whole": is_whole,
        "resolution_m": resolution_m,
        "seconds": seconds,
        "megapixels_per_s": done_mp / seconds,
        "memory_above_idle_mib": (peak - idle) / 1024,
        "plain_loop": plain,
    }
    if model is not None and task != "refine":
        gflop = model.card.gflop_per_tile * clock.pixels / TILE_PX**2
        found |= {
            "network_share": clock.seconds / seconds,
            "network_gflops": gflop / clock.seconds,
            "matrix_gflops": matrix_gflops(device),
            "profile": None if device.type != "cpu" else profiled(model),
        }
    return found


def _of(task: Task) -> Literal["segment", "change", "refine"]:
    """The task of a checkpoint."""
    assert task != "fuse"
    return task


def _done_mp(out: Path) -> float:
    """Megapixels of the blocks that a broken run has brought to the disk."""
    lines = (folder_of(out) / "journal.jsonl").read_text().splitlines()[1:]
    return sum(json.loads(line)["counts"]["valid"] for line in lines) / 1e6


def in_child(task: Task, megapixels: float, minutes: float) -> Json:
    """Measure in a process of its own, so that memory is its own too."""
    words = [str(megapixels), "--task", task, "--minutes", str(minutes), "--here"]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.scale", *words],
        cwd=HERE.parent, stdout=subprocess.PIPE, check=True,
    )  # fmt: skip
    found: Json = json.loads(done.stdout.splitlines()[-1])
    return found


def cost(entry: Json, price: float) -> tuple[float, float]:
    """Machine-hours and price of 1,000 km2 at the measured rate."""
    megapixels = 1000 * 1e6 / entry["resolution_m"] ** 2 / 1e6
    hours = megapixels / entry["megapixels_per_s"] / 3600
    return hours, hours * price


def table(results: Json) -> Iterator[str]:
    """The measurements as a table in Markdown."""
    at = results["machine"]
    yield (
        f"Measured {at['date']}: {at['processor']}, {at['cores']} cores, load {at['load_before']} "
        f"from other work; PyTorch {at['torch']}; {results['price_per_hour']:g} a machine-hour."
    )
    yield ""
    yield (
        "| task | scene | MP/s | plain loop | memory above idle | in the network | of the matrix "
        "product | 1,000 km² |"
    )
    yield "|---|---|---|---|---|---|---|---|"
    for entry in results["measurements"]:
        plain, share = entry["plain_loop"], entry.get("network_share")
        part = "" if entry["is_whole"] else f" ({entry['measured_megapixels']:.0f} of it)"
        hours, money = cost(entry, results["price_per_hour"])
        cells = (
            f"{entry['task']}, {entry['checkpoint']}, {entry['device']}, "
            f"{entry['threads']} thread(s)",
            f"{entry['megapixels']:g} MP{part}",
            f"{entry['megapixels_per_s']:.3f}",
            "" if plain is None else f"{plain['megapixels_per_s']:.3f}",
            f"{entry['memory_above_idle_mib']:.0f} MiB",
            "" if share is None else f"{share:.0%}",
            "" if share is None else f"{entry['network_gflops'] / entry['matrix_gflops']:.0%}",
            f"{hours:.1f} h, {money:.2f} (at {entry['resolution_m']:g} m)",
        )
        yield "| " + " | ".join(cells) + " |"
    known = [entry for entry in results["measurements"] if entry.get("profile")]
    for task in dict.fromkeys(entry["task"] for entry in known):
        last = [entry for entry in known if entry["task"] == task][-1]
        yield ""
        yield from network_profile.table(last["checkpoint"], last["profile"], last["matrix_gflops"])


def with_table(page: str, results: Json) -> str:
    """Put the table into the page between its marks."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return "\n".join([before + BEGIN, "", *table(results), "", END]) + after


def main(words: list[str]) -> None:
    """Measure the sizes that were asked for; others keep their former results of this machine."""
    parser = argparse.ArgumentParser(prog="benchmarks.scale", description=__doc__)
    parser.add_argument("megapixels", nargs="*", type=float, default=list(SIZES_MP))
    parser.add_argument("--task", nargs="*", choices=[*CHECKPOINTS, "fuse"], default=["segment"])
    parser.add_argument("--minutes", type=float, default=MINUTES)
    parser.add_argument("--price", type=float, default=PRICE, help="of a machine-hour")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args(words)
    if asked.here:
        print(json.dumps(measure(asked.task[0], asked.megapixels[0], asked.minutes)))
        return
    at = machine()
    former = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}
    is_same = all(former.get("machine", {}).get(k) == at[k] for k in ("processor", "cores"))
    listed = former.get("measurements", []) if is_same else []
    kept = {(entry["task"], entry["megapixels"]): entry for entry in listed}
    for task in asked.task:
        for size in asked.megapixels:
            kept[task, round(size, 3)] = in_child(task, size, asked.minutes)
            print(json.dumps(kept[task, round(size, 3)], indent=2), flush=True)
    results = {
        "machine": at,
        "price_per_hour": asked.price,
        "measurements": [kept[key] for key in sorted(kept)],
    }
    write(RESULTS, json.dumps(results, indent=2) + "\n")
    write(PAGE, with_table(PAGE.read_text(encoding="utf-8"), results))


if __name__ == "__main__":
    main(sys.argv[1:])
