"""What benchmarks/scale.py makes of its measurements."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import rasterio

from n2m_core import checkpoints

ROOT = Path(__file__).resolve().parents[2]
ENTRY: dict[str, Any] = {
    "task": "segment",
    "checkpoint": "n2m-buildings",
    "device": "cpu",
    "threads": 1,
    "megapixels": 4.0,
    "measured_megapixels": 4.0,
    "is_whole": True,
    "resolution_m": 0.5,
    "seconds": 8.0,
    "megapixels_per_s": 0.5,
    "memory_above_idle_mib": 300.0,
    "plain_loop": {"megapixels": 4.0, "megapixels_per_s": 0.4},
    "network_share": 0.9,
    "network_gflops": 30.0,
    "matrix_gflops": 50.0,
}
RESULTS = {
    "machine": {
        "date": "2026-01-01", "processor": "P", "cores": 2, "load_before": 0.0, "torch": "2",
    },
    "price_per_hour": 0.2,
    "measurements": [ENTRY],
}  # fmt: skip


@pytest.fixture
def scale(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT))
    return importlib.import_module("benchmarks.scale")


def test_cost_of_a_thousand_square_kilometres(scale: ModuleType) -> None:
    """At 0.5 m they are 4,000 megapixels, which take 8,000 s at 0.5 megapixels a second."""
    hours, money = scale.cost(ENTRY, 0.2)
    assert hours == pytest.approx(8000 / 3600)
    assert money == pytest.approx(8000 / 3600 * 0.2)


def test_table_is_put_between_its_marks(scale: ModuleType) -> None:
    page = f"before\n{scale.BEGIN}\nold\n{scale.END}\nafter\n"
    made = scale.with_table(page, RESULTS)
    assert made.startswith("before\n") and made.endswith(f"{scale.END}\nafter\n")
    assert "old" not in made
    assert "| 4 MP | 0.500 | 0.400 | 300 MiB | 90% | 60% | 2.2 h, 0.44 (at 0.5 m) |" in made
    assert scale.with_table(made, RESULTS) == made


def test_page_and_results_agree(scale: ModuleType) -> None:
    results = json.loads(scale.RESULTS.read_text(encoding="utf-8"))
    page = scale.PAGE.read_text(encoding="utf-8")
    assert scale.with_table(page, results) == page


def test_scene_has_the_size_that_was_asked_for(scale: ModuleType, tmp_path: Path) -> None:
    side = scale.make_scene(tmp_path / "scene.tif", 0.01, 0.5)
    assert side == 100
    scale.make_rough(tmp_path / "rough.tif", tmp_path / "scene.tif")
    with rasterio.open(tmp_path / "scene.tif") as scene, rasterio.open(tmp_path / "rough.tif") as r:
        assert (scene.shape, scene.count, scene.res) == ((100, 100), 3, (0.5, 0.5))
        assert set(r.read(1).ravel()) <= {0, 1}
        assert r.transform == scene.transform


def test_profile_counts_the_arithmetic_of_convolutions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    profile = importlib.import_module("benchmarks.network_profile")
    model = checkpoints.load("n2m-buildings", "segment", device="cpu", root=ROOT / "checkpoints")
    rows = profile.profiled(model)
    shares = [row["share"] for row in rows]
    assert sum(shares) == pytest.approx(1)
    assert shares == sorted(shares, reverse=True)
    counted = {row["kind"]: row["gflops"] for row in rows if row["gflops"] is not None}
    assert len(counted) == 2
    assert all(0.1 < rate < 10_000 for rate in counted.values())
    lines = list(profile.table("some", rows, 100.0))
    assert len(lines) == 4 + len(rows)
    assert all(line.count("|") == 5 for line in lines[2:])
