"""Time of a 512 px segmentation, from the image in memory to the map, after the weights' load."""

from __future__ import annotations

import time

from benchmarks.figures import Figure, report, time_in_turn, use_threads
from n2m_core.checkpoints import load
from n2m_core.scenes import held_out
from n2m_core.tasks import segment

CHECKPOINT, SIZE_PX, REPEATS = "n2m-buildings", 512, 5


def main() -> None:
    """Measure load and segmentation."""
    threads = use_threads()
    started = time.perf_counter()
    model = load(CHECKPOINT, device="cpu")
    load_s = time.perf_counter() - started
    scene = next(held_out(1, size=SIZE_PX, resolution_m=model.card.resolution_m))
    taken = time_in_turn({"map": lambda: segment.run(scene.image, model)}, REPEATS)["map"]
    report(
        f"Segmentation of {SIZE_PX} px",
        f"{CHECKPOINT} on a held-out scene at the checkpoint's resolution, {threads} thread(s); "
        f"median of {REPEATS} runs after the load and one more run.",
        [
            Figure("Segmentation", taken.median_s, "s", at_most=2),
            Figure("Segmentation, fastest run", taken.fastest_s, "s"),
            Figure("Load of the weights", load_s, "s"),
            Figure("Speed", SIZE_PX**2 / 1e6 / taken.median_s, "megapixels/s"),
        ],
    )


if __name__ == "__main__":
    main()
