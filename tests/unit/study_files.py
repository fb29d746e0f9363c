"""Small files of studies, in the form that the scripts of `benchmarks/` write."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

MACHINE = {
    "date": "2026-01-02",
    "processor": "a processor",
    "cores": 2,
    "load_before": 0.0,
    "python": "3.11.7",
    "torch": "2.0",
}
KEYS = ("mean_f1", "mean_iou", "target_f1", "target_iou", "boundary_iou")


def entry(name: str, *values: float) -> dict[str, Any]:
    """Scores of a set, all of them alike, one value a seed."""
    return {"name": name, "commands": [], "scores": {key: list(values) for key in KEYS}}


def peer(name: str, task: str, *values: float, tried: str = "") -> dict[str, Any]:
    return {
        "name": name,
        "title": f"{name}, in words",
        "tried": tried,
        "task": task,
        "network": "a design",
        "timed": "2026-01-02 on a processor",
        "seeds": [1, 2],
        "steps": [1500, 1500],
        "parameters": 8_340_000,
        "gflop_per_tile": 6.32,
        "seconds_per_tile": 0.1484,
        "peak_mb": 61.7,
        "sets": [entry("town", *values)],
    }


def peers() -> dict[str, Any]:
    networks = [
        peer("n2m-buildings-short", "segment", 0.5, 0.6),
        peer("unet-buildings", "segment", 0.56, 0.58),
        peer("n2m-buildings-muon", "segment", 0.6, 0.6, tried="n2m-buildings-short"),
        peer("unet-buildings-muon", "segment", 0.59, 0.59, tried="unet-buildings"),
        peer("n2m-buildings-late", "segment", 0.5, 0.5, tried="n2m-buildings-short"),
        peer("n2m-change-short", "change", 0.4),
        peer("siamese-unet-change", "change", 0.3),
    ]
    return {"machine": MACHINE, "threads": 1, "networks": networks}


def claims() -> dict[str, Any]:
    found = {"ddpm": [0.2, 0.6], "ddim": [0.2, 0.601], "pndm": [0.2, 0.6], "heun": [0.1, 0.5]}
    return {
        "machine": MACHINE,
        "twins": {
            "noisy": "n2m-buildings",
            "plain": "n2m-buildings-plain",
            "sets": [
                {
                    "set": "town",
                    "noisy": {"mean": 0.8, "target": 0.7},
                    "plain": {"mean": 0.78, "target": 0.71},
                },
                {
                    "set": "scenes",
                    "noisy": {"mean": 0.8, "target": 0.6},
                    "plain": {"mean": 0.82, "target": 0.6},
                },
            ],
            "published_points": [3.0, 4.0],
        },
        "along_time": [
            {
                "checkpoint": "n2m-buildings",
                "task": "segment",
                "set": "town",
                "timesteps": [999, 500, 0],
                "f1": [0.4, 0.395, 0.8],
            },
            {
                "checkpoint": "n2m-change",
                "task": "change",
                "set": "pairs",
                "timesteps": [999, 500, 0],
                "f1": [0.6, 0.5, 0.7],
            },
        ],
        "schedules": {
            "place": "town",
            "timesteps": [999, 100],
            "found": [{"schedule": n, "command": "n2m", "f1": f1} for n, f1 in found.items()],
        },
    }


def run(start: str, share: float, seed: int, f1: float) -> dict[str, Any]:
    return {
        "start": start,
        "share": share,
        "seed": seed,
        "tiles": 9,
        "minutes": 1.0,
        "sets": [entry("town", f1)],
        "curve": [[20, 1.0], [40, 0.5]],
        "validation": [[20, f1 / 2, 0.1], [40, f1, 0.2]],
    }


def pretraining() -> dict[str, Any]:
    return {
        "machine": MACHINE,
        "config": "peers/n2m-buildings-short.yaml",
        "pretraining": {"steps": 6000},
        "steps": 40,
        "planned": 12,
        "validated_on": "buildings/catanduanes",
        "ranks": [
            {"network": "pretrained", "depths": [["stem", 6.0], ["down 1", 4.0]]},
            {"network": "random", "depths": [["stem", 9.0], ["down 1", 16.0]]},
        ],
        "runs": [
            run("random", 0.1, 1, 0.2),
            run("random", 0.1, 2, 0.4),
            run("pretrained", 0.1, 1, 0.5),
            run("random", 1.0, 1, 0.6),
        ],
    }


def multitask() -> dict[str, Any]:
    def network(checkpoint: str, f1: float) -> dict[str, Any]:
        return {
            "checkpoint": checkpoint,
            "sha256": "0",
            "steps": 1900,
            "steps_in_all": 5900,
            "parameters": 1,
            "sets": [entry("town", f1)],
        }

    tasks = [
        {
            "task": "segment",
            "networks": [network("n2m-multitask", 0.60), network("n2m-buildings", 0.63)],
            "points_lost": [{"set": "town", "points": 3.0}],
        },
        {
            "task": "change",
            "networks": [network("n2m-multitask", 0.35), network("n2m-change", 0.34)],
            "points_lost": [{"set": "town", "points": -1.0}],
        },
    ]
    return {
        "machine": MACHINE,
        "checkpoint": "n2m-multitask",
        "most_points_lost": 2.0,
        "tasks": tasks,
        "weights": [[20, 1.0, 1.0], [40, 1.1, 0.9]],
    }


def landsat() -> dict[str, Any]:
    tiles = [{"name": "nanjing", "f1": 0.2, "iou": 0.1}, {"name": "taizhou", "f1": 0.4, "iou": 0.2}]
    scored = {"target": {"f1": 0.3, "iou": 0.18}, "per_tile": tiles}
    own = {
        "checkpoint": "n2m-change",
        "sha256": "0",
        "bands": "red, green, blue",
        "command": "n2m",
        "notes": ["dark"],
    }
    return {
        "machine": MACHINE,
        "resolution_m": 30,
        "without_learning": {"name": "change vector, all bands", **scored},
        "checkpoints": [{**own, **scored, "mean": {}, "all_positive": {"f1": 0.33, "iou": 0.2}}],
    }


def wildfire() -> dict[str, Any]:
    scored = {
        "checkpoint": "xview2-cd-compact",
        "task": "change",
        "parameters": 8_300_000,
        "start": "checkpoints/n2m-buildings",
        "steps": 1000,
        "samples": 2000,
        "optimizer": {
            "kind": "muon",
            "learning_rate": 8e-4,
            "warmup_steps": 40,
            "ema_decay": 0.0,
        },
        "augmented": ["color"],
        "mean": {"f1": 0.8, "iou": 0.7},
        "target": {"f1": 0.6, "iou": 0.5},
        "all_positive": {"f1": 0.1, "iou": 0.05},
    }
    published = {"row": "xView2 wildfire, CD", "mean_f1": 0.8691, "mean_iou": 0.7859}
    return {
        "machine": MACHINE,
        "tile_px": 256,
        "tiles": {"train": 35, "test": 12},
        "rows": [{**published, **scored}],
        "full_resolution": {**scored, "checkpoint": "n2m-wildfire"},
    }


def refined_maps(rough: float, main: float, iou_lost: float) -> list[dict[str, Any]]:
    """Rows of the rough maps and of what two refiners made of them."""

    def gain(value: float) -> dict[str, float]:
        return {"value": value, "low": value - 0.01, "high": value + 0.01}

    def row(name: str, boundary: float, iou: float, fine: float) -> dict[str, Any]:
        scores = {"mean_iou": iou, "mean_f1": 0.8, "wfm": boundary, "f1_3px": boundary}
        return {
            "name": name,
            "scores": scores,
            "error": {"coarse": 100.0, "fine": fine, "mean_power": [2.0, 0.0, fine / 100]},
            "gains": {
                "mean_iou": gain(iou - 0.7),
                "mean_f1": {"value": 0.0, "low": None, "high": None},
                "wfm": gain(boundary - rough),
                "f1_3px": gain(boundary - rough),
            },
            "repair": {"iou_imp": 0.25, "low": 0.2, "high": 0.3, "k": 1.0},
        }

    first = row("rough map", rough, 0.7, 200.0)
    del first["gains"], first["repair"]
    guided = row("guided filter", rough, 0.7, 200.0)
    del guided["error"]["mean_power"]
    return [first, row("idgbr, 25 steps", main, 0.7 - iou_lost, 50.0), guided]


def refinement() -> dict[str, Any]:
    def maps(name: str, main: float, iou_lost: float) -> dict[str, Any]:
        by_step = [
            {"step": 0, "wfm": 0.5, "f1_3px": 0.5},
            {"step": 13, "wfm": None, "f1_3px": None},
            {"step": 25, "wfm": main, "f1_3px": main},
        ]
        rows = refined_maps(0.5, main, iou_lost)
        return {"name": name, "maps": rows, "by_step": by_step, "command": "n2m"}

    network = {"name": "idgbr", "sha256": "0", "parameters": 1_310_000, "gflop_per_tile": 85.0}
    return {
        "machine": MACHINE,
        "threads": 1,
        "device": "cpu",
        "tile_px": 256,
        "main": "idgbr, 25 steps",
        "timed": "idgbr, 25 steps",
        "limits": {"tile_seconds": 6.0, "points_on_scenes": 3.0, "iou_points_lost": 0.5},
        "left_out": ["one-pass is not trained here and was left out."],
        "networks": [{**network, "steps": 2000, "samples": 16000, "minutes": 300.0}],
        "seconds": {"idgbr, 25 steps": 7.0, "guided filter": 0.1},
        "cutoff": 1 / 16,
        "sets": [
            {
                "name": "town",
                "is_real": True,
                "tiles": 8,
                "preparation": "",
                "rough": [maps("good", 0.51, 0.001), maps("bad", 0.53, 0.01)],
            },
            {
                "name": "scenes",
                "is_real": False,
                "tiles": 24,
                "preparation": "n2m",
                "rough": [maps("good", 0.52, 0.0), maps("bad", 0.56, 0.002)],
            },
        ],
    }


def full_size() -> dict[str, Any]:
    ours = {"parameters": 113_673_219, "gflop_per_tile": 497.0, "median_s": 6.0}
    other = {"parameters": 437_450_000, "gflop_per_tile": 8600.0, "median_s": 60.0}
    return {
        "machine": MACHINE,
        "device": "CPU, 1 thread(s)",
        "tile_px": 256,
        "designs": {"Noise2Map": ours, "DDPM-CD": other},
        "noise2map_is": {"faster": 10.0, "smaller": 3.85, "less_arithmetic": 17.3},
        "published": {"faster": 13.49, "smaller": 3.85},
    }


def write_all(folder: Path) -> Path:
    """Write the files of all studies but that of speed."""
    folder.mkdir(parents=True, exist_ok=True)
    for make in (claims, peers, pretraining, multitask, landsat, wildfire, refinement, full_size):
        (folder / f"{make.__name__}.json").write_text(json.dumps(make()), encoding="utf-8")
    return folder
