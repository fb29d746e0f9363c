"""Time of a trajectory: 21 timesteps of a 256 px tile, after the weights' load."""

from __future__ import annotations

from benchmarks.figures import Figure, report, time_in_turn, use_threads
from n2m_core.checkpoints import load
from n2m_core.scenes import held_out
from n2m_core.tasks import trajectory

CHECKPOINT, SIZE_PX, STEPS, REPEATS = "n2m-buildings", 256, 21, 3


def main() -> None:
    """Measure the frames; writing GIF and MP4 is not part of it."""
    threads = use_threads()
    model = load(CHECKPOINT, device="cpu")
    scene = next(held_out(1, size=SIZE_PX, resolution_m=model.card.resolution_m))
    params = trajectory.TrajectoryParams(steps=STEPS)
    calls = {"frames": lambda: trajectory.run(scene.image, None, model, params)}
    taken = time_in_turn(calls, REPEATS)["frames"]
    report(
        f"Trajectory of {STEPS} timesteps",
        f"{CHECKPOINT} on a held-out scene of {SIZE_PX} px at the checkpoint's resolution, "
        f"{threads} thread(s); median of {REPEATS} runs after the load and one more run.",
        [
            Figure("Trajectory", taken.median_s, "s", at_most=4),
            Figure("Trajectory, fastest run", taken.fastest_s, "s"),
            Figure("One timestep", taken.median_s / STEPS, "s"),
        ],
    )


if __name__ == "__main__":
    main()
